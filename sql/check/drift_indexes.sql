-- List the indexes of the tables as facts, except those of constraints (see check/drift_tables).
--
-- Parameters:
--   schema  text  the schema
-- Result: row
--   kind          text
--   object        text
--   part_of       text
--   definition    text
--   severity      text
--   drop_sql      text
--   create_sql    text
--   fix_sql       text
--   create_order  bigint
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
SELECT
    'index' AS kind,
    'index ' || x.relname AS object,
    'table ' || c.relname AS part_of,
    pg_get_indexdef(i.indexrelid) AS definition,
    'warning' AS severity,
    format('DROP INDEX %s%s;', CASE c.relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END, x.oid::regclass) AS drop_sql,
    CASE c.relkind
        WHEN 'p'
            THEN
                E'-- blocks writers while the index is built; sql/README.md shows a way that does not\n'
                || replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
        ELSE regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX ', ' INDEX CONCURRENTLY ')
    END || ';' AS create_sql,
    '' AS fix_sql,
    x.oid::bigint AS create_order
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname = :'schema'::text
    AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND c.relname !~ '^_?yoyo_'
    AND NOT EXISTS (
        SELECT FROM pg_constraint AS k
        WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    )
ORDER BY create_order;
