-- Take the advisory lock of a table, so that only one tidy of it can run. The session keeps the lock until it ends,
-- even if the client is gone earlier.
--
-- Parameters:
--   name  text  the table with the schema
-- Result: row
--   locked  boolean  false: another tidy holds it
-- Index: none (no table)
-- Touches: none
SELECT pg_try_advisory_lock(hashtextextended('pvsite-sql tidy: ' || :'name'::text, 0)) AS locked;
