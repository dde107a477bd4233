-- Run on the source: the forecasting models.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: ml_model
SELECT to_jsonb(m) AS document
FROM ml_model AS m;
