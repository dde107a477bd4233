-- List the transactions that a detach would wait for: those that hold a lock on the relation and, if it is a
-- half-detached partition, those whose snapshot may be older than the detach. Statements and snapshots of another
-- role are visible only to members of that role and of pg_read_all_stats.
--
-- Parameters:
--   relation  text  a table or partition with the schema, quoted where necessary
-- Result: row
--   pid                 integer      its session; 0: a prepared transaction, see pg_prepared_xacts
--   virtualtransaction  text         id of the transaction
--   user_name           text         its role, or the type of a background process
--   application         text         its application_name
--   since_utc           timestamptz  start of the transaction
--   state               text         such as active or idle in transaction
--   query_file          text         the query file of its current or last statement
--   statement           text         its current or last statement, shortened
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
    substring(a.query FROM '/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
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
