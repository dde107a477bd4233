-- Run on the source: read the inverters. Return each row as a JSON document; columns that this version of the table
-- does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: inverters
SELECT to_jsonb(i) AS document
FROM inverters AS i;
