-- Run on the source: the inverters.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: inverters
SELECT to_jsonb(i) AS document
FROM inverters AS i;
