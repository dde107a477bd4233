-- Empty the staging table for the next frame or the next call in the transaction.
--
-- Parameters: none
-- Result: none
-- Index: none (empties a table)
-- Touches: none
-- After: generation/insert_staging
TRUNCATE pg_temp.generation_staging;
