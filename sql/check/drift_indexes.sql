-- The indexes of the tables as they are, but for those of constraints, as facts (see check/drift_tables).
--
-- Parameters:
--   home  text  the schema
-- Result: row
--   kind        text
--   object      text
--   part_of     text
--   definition  text
--   severity    text
--   undo        text
--   make        text
--   mend        text
--   made        bigint
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
SELECT
    'index' AS kind,
    'index ' || x.relname AS object,
    'table ' || c.relname AS part_of,
    pg_get_indexdef(i.indexrelid) AS definition,
    'warning' AS severity,
    format('DROP INDEX %s%s;', CASE c.relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END, x.oid::regclass) AS undo,
    CASE c.relkind
        WHEN 'p'
            THEN
                E'-- writers wait while it is built; sql/README.md, "What to watch", has a way without\n'
                || replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
        ELSE regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX ', ' INDEX CONCURRENTLY ')
    END || ';' AS make,
    '' AS mend,
    x.oid::bigint AS made
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS c ON c.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname = :'home'::text
    AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND c.relname !~ '^_?yoyo_'
    AND NOT EXISTS (
        SELECT FROM pg_constraint AS k
        WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    )
ORDER BY made;
