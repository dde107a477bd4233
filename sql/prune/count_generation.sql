-- Count the readings that a prune would delete in partitions that it does not drop.
--
-- Parameters:
--   start_utc  timestamptz  first start; -infinity: unbounded
--   end_utc    timestamptz  end of the window, exclusive
-- Result: row
--   count  bigint
-- Index: none (all rows of the window are read)
-- Touches: generation
SELECT count(*) AS count
FROM generation AS g
WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz;
