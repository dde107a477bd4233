-- Run on the source: read the history of the sites. Return each row as a JSON document; columns that this version of
-- the table does not have are missing from it. `number` is the order of the changes, because those of one transaction
-- have the same time.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: sites_history
SELECT to_jsonb(s) || jsonb_build_object('number', row_number() OVER (ORDER BY s.created_utc, s.ctid)) AS document
FROM sites_history AS s;
