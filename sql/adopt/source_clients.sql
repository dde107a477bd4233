-- Run on the source: read the clients. Return each row as a JSON document; columns that this version of the table
-- does not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: clients
SELECT to_jsonb(c) AS document
FROM clients AS c;
