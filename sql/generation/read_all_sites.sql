-- Return the readings of all sites, including deleted ones, in a time window, ordered by site and start.
--
-- Parameters:
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
-- Result: Generation
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: none (reads whole partitions, those of the window)
-- Touches: month_readings
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM generation AS g
WHERE
    g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
ORDER BY g.site_uuid, g.start_utc;
