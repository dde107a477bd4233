-- List the months that have no partition, ascending. Takes no lock.
--
-- Parameters:
--   parent  text    generation or forecasts
--   months  date[]  a day of each month (UTC)
-- Result: row
--   month  date  the first day of a month without a partition
-- Index: none (catalog tables)
-- Touches: none
SELECT m.month
FROM missing_month_partitions(:'parent'::text, :'months'::date[]) AS m (month);
