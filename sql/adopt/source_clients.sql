-- Run on the source: the clients.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: clients
SELECT to_jsonb(c) AS document
FROM clients AS c;
