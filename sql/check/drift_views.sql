-- List the views of the schema as facts (see check/drift_tables).
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
    f.drop_sql,
    f.create_sql,
    f.fix_sql,
    c.oid::bigint AS create_order
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN
    LATERAL (
        SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS columns
        FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS l
CROSS JOIN
    LATERAL (
        VALUES
        (
            format(
                E'VIEW %s %sAS\n%s', c.oid::regclass, 'WITH (' || array_to_string(c.reloptions, ', ') || ') ', pg_get_viewdef(c.oid)
            )
        )
    ) AS t (definition)
CROSS JOIN
    LATERAL (
        VALUES
        (
            1,
            'view',
            'view ' || c.relname,
            '',
            l.columns,
            format('DROP VIEW %s;', c.oid::regclass),
            'CREATE ' || t.definition,
            ''
        ),
        (
            2,
            'view definition',
            'definition of view ' || c.relname,
            'view ' || c.relname,
            pg_get_viewdef(c.oid),
            '',
            '',
            'CREATE OR REPLACE ' || t.definition
        ),
        (
            3,
            'view options',
            'options of view ' || c.relname,
            'view ' || c.relname,
            COALESCE(array_to_string(c.reloptions, ', '), ''),
            '',
            '',
            'CREATE OR REPLACE ' || t.definition
        )
    ) AS f (position, kind, object, part_of, definition, drop_sql, create_sql, fix_sql)
WHERE
    n.nspname = :'schema'::text
    AND c.relkind = 'v'
    AND NOT EXISTS (
        SELECT FROM pg_depend AS e
        WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e'
    )
ORDER BY create_order, f.position;
