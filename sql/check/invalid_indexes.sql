-- Indexes that are not used, or not even kept, since building them failed; but for those that are seen to be built just now.
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
    'invalid index' AS kind,
    CASE WHEN i.indisunique THEN 'error' ELSE 'warning' END AS severity,
    format('index %s on %s', x.relname, c.relname) AS object,
    CASE
        WHEN x.relkind = 'I' THEN 'is invalid, since that of a partition is, or was'
        WHEN i.indisready THEN 'is invalid: every write keeps it, no query uses it'
        ELSE 'is invalid, and not kept by writes'
    END AS message,
    CASE
        -- when the partitions' own are there and valid, attaching one again makes the server look
        WHEN x.relkind = 'I'
            THEN (
                SELECT format('ALTER INDEX %s ATTACH PARTITION %s;', x.oid::regclass, min(h.inhrelid)::regclass)
                FROM pg_inherits AS h
                WHERE h.inhparent = i.indexrelid
            )
        -- the rest of a REINDEX CONCURRENTLY
        WHEN x.relname ~ '_cc(new|old)\d*$' THEN format('DROP INDEX CONCURRENTLY %s;', x.oid::regclass)
        ELSE format('REINDEX INDEX CONCURRENTLY %s;', x.oid::regclass)
    END AS sql
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname = :'home'::text
    AND NOT (i.indisvalid AND i.indisready)
    -- of partitions that lack it, check/partitions tells
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
