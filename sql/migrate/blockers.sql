-- Whom a session waits for: the holders of the locks that it wants, and those before it in the queue. A statement of
-- another role shows only to members of that role and of pg_read_all_stats.
--
-- Parameters:
--   pid  integer  the session that waits
-- Result: row
--   wanted       text         the lock that it waits for
--   pid          integer      of a session in its way; 0: a prepared transaction, in pg_prepared_xacts
--   user_name    text         who is logged in there
--   application  text         its application_name
--   since_utc    timestamptz  since when the transaction is open
--   state        text         such as active, or idle in transaction
--   query_file   text         the package's query file that it runs or ran last
--   statement    text         the statement that it runs or ran last, shortened
-- Index: none (no tables: what the server says of its sessions)
-- Touches: none
SELECT DISTINCT
    w.mode || ' on ' || COALESCE(w.relation::regclass::text, w.locktype) AS wanted,
    b.pid,
    a.usename::text AS user_name,
    NULLIF(a.application_name, '') AS application,
    a.xact_start AS since_utc,
    a.state,
    substring(a.query FROM '^/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
    left(NULLIF(regexp_replace(trim(a.query), '\s+', ' ', 'g'), '<insufficient privilege>'), 100) AS statement
FROM pg_locks AS w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
LEFT JOIN pg_stat_activity AS a ON b.pid = a.pid
WHERE w.pid = :'pid'::integer AND NOT w.granted
ORDER BY since_utc, b.pid;
