-- Create the staging table for the rows of a small table of the source.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_documents (document jsonb NOT NULL) ON COMMIT DELETE ROWS;
