-- Run on the source: read the members of the site groups. Return each row as a JSON document; columns that this
-- version of the table does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: location_group_locations
SELECT to_jsonb(l) AS document
FROM location_group_locations AS l;
