-- Run on the source: which site stands in which group.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: site_group_sites
SELECT to_jsonb(s) AS document
FROM site_group_sites AS s;
