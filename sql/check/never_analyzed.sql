-- Tables and partitions of a megabyte or more that were never analyzed, so that plans rest on guesses. Those with partitions count
-- when one of theirs does: autovacuum analyzes partitions, but never the table that they make up.
--
-- Parameters:
--   home  text  the schema
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  what mends it; empty where no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
SELECT
    'statistics' AS kind,
    'warning' AS severity,
    'table ' || c.relname AS object,
    CASE c.relkind
        WHEN 'p' THEN 'was never analyzed as a whole, which autovacuum does not do: plans rest on guesses'
        ELSE 'was never analyzed: plans rest on guesses'
    END AS message,
    format('ANALYZE %s;', c.oid::regclass) AS sql
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE
    n.nspname = :'home'::text
    AND c.relkind IN ('r', 'p')
    AND c.relname !~ '^_?yoyo_'
    -- the counters may have been reset, or be those of a standby: then VACUUM has set reltuples, and rows of pg_stats tell, if seen
    AND s.last_analyze IS NULL
    AND s.last_autoanalyze IS NULL
    AND (c.reltuples = -1 OR COALESCE(s.last_vacuum, s.last_autovacuum) IS NOT NULL)
    AND NOT EXISTS (
        SELECT FROM pg_stats AS k
        WHERE k.schemaname = n.nspname AND k.tablename = c.relname
    )
    AND CASE c.relkind
        WHEN 'r' THEN pg_relation_size(c.oid) >= 1048576
        ELSE EXISTS (
            SELECT FROM pg_inherits AS i
            WHERE i.inhparent = c.oid AND pg_relation_size(i.inhrelid) >= 1048576
        )
    END
ORDER BY c.relname;
