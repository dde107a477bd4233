-- Run on the source: the sites.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: sites
SELECT to_jsonb(s) AS document
FROM sites AS s;
