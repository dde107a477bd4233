-- Count the readings of the given sites that a prune would delete.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  first start; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
-- Result: row
--   count  bigint
-- Index: generation_pkey
-- Touches: readings
SELECT count(*) AS count
FROM generation AS g
WHERE
    g.site_uuid = ANY(:'site_uuids'::uuid[])
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz;
