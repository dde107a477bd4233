-- Run on the source: which location lies in which, which has no place here.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: location_locations
SELECT to_jsonb(l) AS document
FROM location_locations AS l;
