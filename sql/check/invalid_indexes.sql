-- List invalid indexes, such as a failed CREATE INDEX CONCURRENTLY leaves behind, except indexes that are being built
-- now.
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
SELECT
    'invalid index' AS kind,
    CASE WHEN i.indisunique THEN 'error' ELSE 'warning' END AS severity,
    format('index %s on %s', x.relname, c.relname) AS object,
    CASE
        WHEN x.relkind = 'I' THEN 'is invalid because the index of a partition is or was invalid'
        WHEN i.indisready THEN 'is invalid: writes update it, but queries do not use it'
        ELSE 'is invalid: writes do not update it'
    END AS message,
    CASE
        -- once the indexes of the partitions are valid, attaching one again makes this one valid
        WHEN x.relkind = 'I'
            THEN (
                SELECT format('ALTER INDEX %s ATTACH PARTITION %s;', x.oid::regclass, min(h.inhrelid)::regclass)
                FROM pg_inherits AS h
                WHERE h.inhparent = i.indexrelid
            )
        -- left behind by a failed REINDEX CONCURRENTLY
        WHEN x.relname ~ '_cc(new|old)\d*$' THEN format('DROP INDEX CONCURRENTLY %s;', x.oid::regclass)
        ELSE format('REINDEX INDEX CONCURRENTLY %s;', x.oid::regclass)
    END AS sql
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname = :'schema'::text
    AND NOT (i.indisvalid AND i.indisready)
    -- check/partitions reports partitions that lack the index
    AND NOT EXISTS (
        SELECT FROM pg_inherits AS p
        WHERE
            p.inhparent = i.indrelid
            AND NOT EXISTS (
                SELECT FROM pg_inherits AS h
                JOIN pg_index AS o ON o.indexrelid = h.inhrelid
                WHERE h.inhparent = i.indexrelid AND o.indrelid = p.inhrelid
            )
    )
    AND NOT EXISTS (
        SELECT FROM pg_stat_progress_create_index AS b
        WHERE b.datname = current_database() AND b.index_relid = i.indexrelid
    )
ORDER BY x.relkind DESC, x.relname;
