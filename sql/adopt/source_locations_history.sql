-- Run on the source: how the sites were before, which has no place here.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: locations_history
SELECT to_jsonb(l) AS document
FROM locations_history AS l;
