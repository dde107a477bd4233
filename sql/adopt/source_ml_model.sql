-- Run on the source: read the forecasting models. Return each row as a JSON document; columns that this version of
-- the table does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: ml_model
SELECT to_jsonb(m) AS document
FROM ml_model AS m;
