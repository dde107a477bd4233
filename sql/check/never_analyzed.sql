-- List tables and partitions of 1 MB or more that were never analyzed, so the planner has no statistics for them. A
-- partitioned table counts if one of its partitions does: autovacuum analyzes partitions, but not the partitioned
-- table. If no table of that size has statistics, as after a restore, there is one row for all of them.
--
-- Parameters:
--   schema  text  the schema
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
WITH large AS (
    SELECT
        c.oid,
        c.relname,
        c.relkind,
        -- on a standby or after a reset of the counters, the rows of pg_stats show that ANALYZE ran
        s.last_analyze IS NULL
        AND s.last_autoanalyze IS NULL
        AND CASE
            WHEN has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)
                THEN NOT EXISTS (
                    SELECT FROM pg_stats AS k
                    WHERE k.schemaname = n.nspname AND k.tablename = c.relname
                )
            -- pg_stats shows nothing to this role; VACUUM and CREATE INDEX set reltuples too
            ELSE c.reltuples = -1 OR COALESCE(s.last_vacuum, s.last_autovacuum) IS NOT NULL
        END AS never_analyzed
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
    WHERE
        n.nspname = :'schema'::text
        AND c.relkind IN ('r', 'p')
        AND c.relname !~ '^_?yoyo_'
        AND CASE c.relkind
            WHEN 'r' THEN pg_relation_size(c.oid) >= 1048576
            ELSE EXISTS (
                SELECT FROM pg_inherits AS i
                WHERE i.inhparent = c.oid AND pg_relation_size(i.inhrelid) >= 1048576
            )
        END
),

all_of_them AS (
    SELECT count(*) > 1 AND bool_and(l.never_analyzed) AS never_analyzed FROM large AS l
)

SELECT
    'statistics' AS kind,
    'warning' AS severity,
    f.object,
    f.message,
    f.sql
FROM (
    SELECT
        'table ' || l.relname AS object,
        CASE l.relkind
            WHEN 'p' THEN 'was never analyzed, and autovacuum does not analyze partitioned tables: the planner has no statistics for it'
            ELSE 'was never analyzed: the planner has no statistics for it'
        END AS message,
        format('ANALYZE %s;', l.oid::regclass) AS sql
    FROM large AS l
    JOIN all_of_them AS a ON NOT a.never_analyzed
    WHERE l.never_analyzed
    UNION ALL
    SELECT
        'schema ' || :'schema'::text,
        'has no planner statistics yet, as after a restore: calls are slow until ANALYZE has run',
        'ANALYZE;'
    FROM all_of_them AS a
    WHERE a.never_analyzed
) AS f
ORDER BY f.object;
