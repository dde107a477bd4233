-- Run on the source: read the sites. Return each row as a JSON document; columns that this version of the table does
-- not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: locations
SELECT to_jsonb(l) AS document
FROM locations AS l;
