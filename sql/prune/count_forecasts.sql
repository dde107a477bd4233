-- Count the forecasts that a prune would delete in partitions that it does not drop.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp; -infinity: unbounded
--   end_utc    timestamptz  end of the window, exclusive
-- Result: row
--   count  bigint
-- Index: none (all rows of the window are read)
-- Touches: forecasts
SELECT count(*) AS count
FROM forecasts AS f
WHERE f.timestamp_utc >= :'start_utc'::timestamptz AND f.timestamp_utc < :'end_utc'::timestamptz;
