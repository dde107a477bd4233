-- Transactions that a detach would wait for: those that hold a lock on the relation, and, of a partition that is half
-- detached, those whose snapshot may be older than that. A statement of another role, and such a snapshot, show only to
-- members of that role and of pg_read_all_stats.
--
-- Parameters:
--   relation  text  a table or partition with its schema, quoted where need be
-- Result: row
--   pid                 integer      the server process; 0: a prepared transaction, in pg_prepared_xacts
--   virtualtransaction  text         tells its transactions apart
--   user_name           text         who is logged in there, or what kind of process it is
--   application         text         its application_name
--   since_utc           timestamptz  since when the transaction is open
--   state               text         such as active, or idle in transaction
--   query_file          text         the package's query file that it runs or ran last
--   statement           text         the statement that it runs or ran last, shortened
-- Index: none (catalog tables)
-- Touches: none
WITH used AS (
    SELECT
        c.oid,
        i.xmin AS since
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhdetachpending
    WHERE format('%I.%I', n.nspname, c.relname) = :'relation'::text
)

SELECT DISTINCT
    COALESCE(l.pid, 0) AS pid,
    l.virtualtransaction,
    COALESCE(a.usename::text, a.backend_type) AS user_name,
    NULLIF(a.application_name, '') AS application,
    a.xact_start AS since_utc,
    a.state,
    substring(a.query FROM '^/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
    left(NULLIF(regexp_replace(trim(a.query), '\s+', ' ', 'g'), '<insufficient privilege>'), 100) AS statement
FROM used AS u
CROSS JOIN pg_locks AS l
LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_database AS d ON d.oid = l.database
WHERE
    l.granted
    AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND (
        (l.locktype = 'relation' AND l.relation = u.oid AND d.datname = current_database())
        OR (
            l.locktype = 'virtualxid'
            AND a.datname = current_database()
            AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
            AND age(a.backend_xmin) >= age(u.since)
        )
    )
ORDER BY since_utc, pid, l.virtualtransaction;
