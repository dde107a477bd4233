-- One prune of a table at a time: a lock that the session keeps until it ends, even when its client is gone before.
--
-- Parameters:
--   name  text  the table with its schema
-- Result: row
--   locked  boolean  false: another prune is at work
-- Index: none (no table)
-- Touches: none
SELECT pg_try_advisory_lock(hashtextextended('pvsite-sql prune: ' || :'name'::text, 0)) AS locked;
