-- Run on the source: read the users. Return each row as a JSON document; columns that this version of the table does
-- not have are missing from it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: users
SELECT to_jsonb(u) AS document
FROM users AS u;
