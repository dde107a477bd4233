-- Run on the source: the users.
-- A JSON document a row: what a version of the table lacks is simply not in it.
--
-- Parameters: none
-- Result: row
--   document  jsonb
-- Index: none (all of the table)
-- Touches: users
SELECT to_jsonb(u) AS document
FROM users AS u;
