-- List the readings to archive, by site and start.
--
-- Parameters:
--   start_utc  timestamptz  first start; -infinity: unbounded
--   end_utc    timestamptz  end of the window, exclusive; infinity: unbounded
-- Result: row
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: none (all rows of the window are read)
-- Touches: month_readings
-- After: prune/view_generation
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM pg_temp.generation_pruned AS g
WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz
ORDER BY g.site_uuid, g.start_utc;
