-- List the sessions that hold a lock of migrate/try_lock.
--
-- Parameters:
--   part  text  as in migrate/try_lock
-- Result: row
--   pid          integer
--   user_name    text         its role
--   application  text         its application_name
--   since_utc    timestamptz  start of its transaction, or of the session if none is open
--   state        text         such as active or idle
--   query_file   text         the query file of its current or last statement
--   statement    text         its current or last statement, shortened
-- Index: none (system views)
-- Touches: none
SELECT
    l.pid,
    a.usename::text AS user_name,
    NULLIF(a.application_name, '') AS application,
    COALESCE(a.xact_start, a.backend_start) AS since_utc,
    a.state,
    substring(a.query FROM '/\* ([a-z_]+/[a-z_]+) \*/') AS query_file,
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
