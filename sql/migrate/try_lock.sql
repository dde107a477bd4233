-- Take the advisory lock of migrations into the current schema, if it is free, until the session ends. This never
-- waits: a session that waits for an advisory lock inside a statement holds a snapshot, and CREATE INDEX CONCURRENTLY
-- waits for every snapshot.
--
-- Parameters:
--   part  text  run: held by the one running `pvsite-sql migrate`; migration: held by the one session that applies migrations
-- Result: row
--   locked  boolean
-- Index: none (no tables)
-- Touches: none
SELECT
    pg_try_advisory_lock(
        hashtextextended('pvsite_sql migrate ' || :'part'::text || ' ' || COALESCE(current_schema(), ''), 0)
    ) AS locked;
