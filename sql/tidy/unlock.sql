-- Release the lock of tidy/lock, so that the next run need not wait for the end of the session.
--
-- Parameters:
--   name  text  the table with the schema
-- Result: row
--   released  boolean
-- Index: none (no table)
-- Touches: none
SELECT pg_advisory_unlock(hashtextextended('pvsite-sql tidy: ' || :'name'::text, 0)) AS released;
