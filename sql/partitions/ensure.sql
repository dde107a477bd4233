-- Makes the month partitions that are missing. Nothing to do is the common case and takes no lock; else the table is locked in
-- SHARE UPDATE EXCLUSIVE mode (readers and writers go on) until the transaction ends, waiting for the lock 2 s at most.
--
-- Parameters:
--   parent  text    generation or forecasts
--   months  date[]  a day of each month (UTC)
-- Result: row
--   made  text[]  the partitions that were missing
-- Index: none (catalog tables)
SELECT ensure_month_partitions(:'parent'::text, :'months'::date[]) AS made;
