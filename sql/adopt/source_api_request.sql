-- Run on the source: read the API requests. Return each row as a JSON document; columns that this version of the
-- table does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: api_request
SELECT to_jsonb(a) AS document
FROM api_request AS a;
