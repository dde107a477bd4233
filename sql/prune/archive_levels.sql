-- List the probabilistic levels of the forecasts to archive.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp; -infinity: unbounded
--   end_utc    timestamptz  end of the window, exclusive; infinity: unbounded
-- Result: row
--   level  text
-- Index: none (all rows of the window are read)
-- Touches: forecasts_pruned
-- After: prune/view_forecasts
SELECT DISTINCT l.level
FROM pg_temp.forecasts_pruned AS f
CROSS JOIN LATERAL unnest(f.probabilistic_levels) AS l (level)
WHERE f.timestamp_utc >= :'start_utc'::timestamptz AND f.timestamp_utc < :'end_utc'::timestamptz
ORDER BY l.level;
