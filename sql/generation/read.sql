-- The readings of some sites in a window of time, by site and start.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  readings that start here or later; -infinity: from the first one on
--   end_utc     timestamptz  readings that start before this; infinity: up to the last one
-- Result: Generation
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: generation_pkey
-- Touches: readings
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM generation AS g
WHERE
    g.site_uuid = ANY(:'site_uuids'::uuid[])
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
ORDER BY g.site_uuid, g.start_utc;
