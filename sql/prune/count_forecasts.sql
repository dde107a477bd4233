-- How many forecasts a prune would delete beside whole partitions.
--
-- Parameters:
--   start_utc  timestamptz  forecasts from here on; -infinity: from the first one on
--   end_utc    timestamptz  forecasts before this
-- Result: row
--   count  bigint
-- Index: none (all rows of the window count)
-- Touches: forecasts
SELECT count(*) AS count
FROM forecasts AS f
WHERE f.timestamp_utc >= :'start_utc'::timestamptz AND f.timestamp_utc < :'end_utc'::timestamptz;
