-- Takes, if it is free, a lock of migrations into the current schema, until the session ends. It never waits: a session
-- that waits for an advisory lock inside of a statement has a snapshot, for which CREATE INDEX CONCURRENTLY waits.
--
-- Parameters:
--   part  text  run: one `pvsite-sql migrate` at a time; migration: one session at a time that applies a migration
-- Result: row
--   locked  boolean
-- Index: none (no tables)
-- Touches: none
SELECT
    pg_try_advisory_lock(
        hashtextextended('pvsite_sql migrate ' || :'part'::text || ' ' || COALESCE(current_schema(), ''), 0)
    ) AS locked;
