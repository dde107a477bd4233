-- Run on the source: which site stands in which group.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: location_group_locations
SELECT to_jsonb(l) AS document
FROM location_group_locations AS l;
