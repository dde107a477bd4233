-- How many readings a prune would delete beside whole partitions.
--
-- Parameters:
--   start_utc  timestamptz  readings from here on; -infinity: from the first one on
--   end_utc    timestamptz  readings before this
-- Result: row
--   count  bigint
-- Index: none (all rows of the window count)
-- Touches: generation
SELECT count(*) AS count
FROM generation AS g
WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz;
