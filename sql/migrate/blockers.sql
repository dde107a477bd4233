-- List the sessions that block a session: those that hold the lock it waits for, and those ahead of it in the queue.
-- A statement of another role is visible only to members of that role and of pg_read_all_stats.
--
-- Parameters:
--   pid  integer  the blocked session
-- Result: row
--   wanted       text         the lock it waits for
--   pid          integer      a blocking session; 0: a prepared transaction, see pg_prepared_xacts
--   user_name    text         its role
--   application  text         its application_name
--   since_utc    timestamptz  start of its transaction
--   state        text         such as active or idle in transaction
--   query_file   text         the query file of its current or last statement
--   statement    text         its current or last statement, shortened
-- Index: none (system views)
-- Touches: none
SELECT DISTINCT
    w.mode || ' on ' || COALESCE(w.relation::regclass::text, w.locktype) AS wanted,
    b.pid,
    a.usename::text AS user_name,
    NULLIF(a.application_name, '') AS application,
    a.xact_start AS since_utc,
    a.state,
    substring(a.query FROM '/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
    left(NULLIF(regexp_replace(trim(a.query), '\s+', ' ', 'g'), '<insufficient privilege>'), 100) AS statement
FROM pg_locks AS w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
LEFT JOIN pg_stat_activity AS a ON b.pid = a.pid
WHERE w.pid = :'pid'::integer AND NOT w.granted
ORDER BY since_utc, b.pid;
