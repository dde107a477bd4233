-- Run on the source: the site groups.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: location_groups
SELECT to_jsonb(l) AS document
FROM location_groups AS l;
