-- Run on the source: the changes of the sites, numbered in the order in which they were written: a transaction's have one time.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: sites_history
SELECT to_jsonb(s) || jsonb_build_object('number', row_number() OVER (ORDER BY s.created_utc, s.ctid)) AS document
FROM sites_history AS s;
