-- Delete the readings of the given sites that start in a time window. The sites may have been deleted.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
-- Result: none
-- Index: generation_pkey
-- Touches: readings
DELETE FROM generation
WHERE
    site_uuid = ANY(:'site_uuids'::uuid[])
    AND start_utc >= :'start_utc'::timestamptz
    AND start_utc < :'end_utc'::timestamptz;
