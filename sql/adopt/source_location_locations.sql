-- Run on the source: read the locations that contain other locations. Return each row as a JSON document; columns
-- that this version of the table does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: location_locations
SELECT to_jsonb(l) AS document
FROM location_locations AS l;
