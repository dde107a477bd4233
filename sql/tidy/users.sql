-- List the transactions that a REINDEX CONCURRENTLY, CLUSTER or VACUUM of a partition may wait for: those that hold a
-- lock on it, and those with a snapshot, which may still need old versions of its rows. Statements and snapshots of
-- another role are visible only to members of that role and of pg_read_all_stats.
--
-- Parameters:
--   partition  text  with the schema, quoted where necessary
-- Result: row
--   pid          integer      its session; 0: a prepared transaction, see pg_prepared_xacts
--   transaction  text         id of the transaction
--   user_name    text         its role, or the type of a background process
--   application  text         its application_name
--   since_utc    timestamptz  start of the transaction
--   state        text         such as active or idle in transaction
--   query_file   text         the query file of its current or last statement
--   statement    text         its current or last statement, shortened
-- Index: none (system views)
-- Touches: none
WITH holders AS (
    SELECT
        COALESCE(l.pid, 0) AS pid,
        l.virtualtransaction
    FROM pg_locks AS l
    JOIN pg_database AS d ON d.oid = l.database
    WHERE
        l.granted
        AND l.locktype = 'relation'
        AND l.relation = to_regclass(:'partition'::text)
        AND d.datname = current_database()
    UNION
    SELECT
        l.pid,
        l.virtualtransaction
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE
        l.granted
        AND l.locktype = 'virtualxid'
        AND a.datname = current_database()
        AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
        AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
)

SELECT
    h.pid,
    h.virtualtransaction AS transaction,
    COALESCE(a.usename::text, a.backend_type) AS user_name,
    NULLIF(a.application_name, '') AS application,
    a.xact_start AS since_utc,
    a.state,
    substring(a.query FROM '/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
    left(NULLIF(regexp_replace(trim(a.query), '\s+', ' ', 'g'), '<insufficient privilege>'), 100) AS statement
FROM holders AS h
LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
WHERE h.pid <> pg_backend_pid()
ORDER BY since_utc, h.pid, h.virtualtransaction;
