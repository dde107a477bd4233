-- Run on the source: the messages on the service's state.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: status
SELECT to_jsonb(s) AS document
FROM status AS s;
