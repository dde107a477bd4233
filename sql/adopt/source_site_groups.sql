-- Run on the source: read the site groups. Return each row as a JSON document; columns that this version of the table
-- does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: site_groups
SELECT to_jsonb(s) AS document
FROM site_groups AS s;
