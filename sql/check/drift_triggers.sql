-- List the triggers of the tables as facts, except those of partitions, and whether they are enabled (see
-- check/drift_tables).
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
    f.kind,
    f.object,
    f.part_of,
    f.definition,
    'error' AS severity,
    '' AS drop_sql,
    f.create_sql,
    f.fix_sql,
    g.oid::bigint AS create_order
FROM pg_trigger AS g
JOIN pg_class AS c ON c.oid = g.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN
    LATERAL (
        VALUES
        (
            format('trigger %s on %s', g.tgname, c.relname),
            pg_get_triggerdef(g.oid)
        )
    ) AS t (name, definition)
CROSS JOIN
    LATERAL (
        VALUES
        (
            1,
            'trigger',
            t.name,
            CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || c.relname,
            t.definition,
            regexp_replace(t.definition, '^CREATE TRIGGER ', 'CREATE OR REPLACE TRIGGER ') || ';',
            ''
        ),
        (
            2,
            'trigger state',
            'state of ' || t.name,
            t.name,
            CASE g.tgenabled
                WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always' WHEN 'R' THEN 'enabled for replicas' ELSE 'disabled'
            END,
            '',
            format('ALTER TABLE %s ENABLE TRIGGER %I;', c.oid::regclass, g.tgname)
        )
    ) AS f (position, kind, object, part_of, definition, create_sql, fix_sql)
WHERE
    n.nspname = :'schema'::text
    AND NOT g.tgisinternal
    AND NOT c.relispartition
    AND c.relname !~ '^_?yoyo_'
ORDER BY create_order, f.position;
