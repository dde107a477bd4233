-- Run on the source: the requests to the API.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: api_request
SELECT to_jsonb(a) AS document
FROM api_request AS a;
