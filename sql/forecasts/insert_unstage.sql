-- Empty the staging table for the next call in the transaction.
--
-- Parameters: none
-- Result: none
-- Index: none (empties a table)
-- Touches: none
-- After: forecasts/insert_staging
TRUNCATE pg_temp.forecasts_staging;
