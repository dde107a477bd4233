-- The names of the probabilistic values that the forecasts of an archive have.
--
-- Parameters:
--   start_utc  timestamptz  forecasts with this timestamp or a later one; -infinity: from the first one on
--   end_utc    timestamptz  forecasts with a timestamp before this; infinity: up to the last one
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
