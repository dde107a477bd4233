-- The sessions that hold a lock of migrate/try_lock.
--
-- Parameters:
--   part  text  as there
-- Result: row
--   pid          integer
--   user_name    text         who is logged in there
--   application  text         its application_name
--   since_utc    timestamptz  since when its transaction is open, or else the session
--   state        text         such as active, or idle
--   query_file   text         the package's query file that it runs or ran last
--   statement    text         the statement that it runs or ran last, shortened
-- Index: none (no tables: what the server says of its sessions)
-- Touches: none
SELECT
    l.pid,
    a.usename::text AS user_name,
    NULLIF(a.application_name, '') AS application,
    COALESCE(a.xact_start, a.backend_start) AS since_utc,
    a.state,
    substring(a.query FROM '^/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
    left(NULLIF(regexp_replace(trim(a.query), '\s+', ' ', 'g'), '<insufficient privilege>'), 100) AS statement
FROM pg_locks AS l
INNER JOIN pg_database AS d ON l.database = d.oid
LEFT JOIN pg_stat_activity AS a ON l.pid = a.pid
WHERE
    l.locktype = 'advisory'
    AND l.objsubid = 1
    AND l.granted
    AND d.datname = current_database()
    AND (l.classid::bigint << 32) | l.objid::bigint
    = hashtextextended('pvsite_sql migrate ' || :'part'::text || ' ' || COALESCE(current_schema(), ''), 0);
