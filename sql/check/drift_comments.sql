-- List the comments on tables, views, columns, indexes, constraints, triggers and functions as facts, except those on
-- partitions (see check/drift_tables).
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
WITH home AS (
    SELECT n.oid FROM pg_namespace AS n
    WHERE n.nspname = :'schema'::text
)

SELECT
    'comment' AS kind,
    'comment on ' || t.name AS object,
    t.part_of,
    d.description AS definition,
    'warning' AS severity,
    '' AS drop_sql,
    format('COMMENT ON %s IS %L;', t.target, d.description) AS create_sql,
    '' AS fix_sql,
    d.objoid::bigint AS create_order
FROM (
    SELECT
        'pg_class'::regclass AS class,
        c.oid,
        0 AS column_number,
        format('%s %s', k.word, c.relname) AS name,
        format('%s %s', k.word, c.relname) AS part_of,
        format('%s %s', upper(k.word), c.oid::regclass) AS target
    FROM pg_class AS c
    CROSS JOIN
        LATERAL (
            SELECT CASE WHEN c.relkind IN ('r', 'p') THEN 'table' WHEN c.relkind = 'v' THEN 'view' ELSE 'index' END AS word
        ) AS k
    WHERE
        c.relkind IN ('r', 'p', 'v', 'i', 'I')
        AND NOT c.relispartition
        AND c.relnamespace = (SELECT h.oid FROM home AS h)
    UNION ALL
    SELECT
        'pg_class'::regclass,
        c.oid,
        a.attnum,
        format('column %s.%I', c.relname, a.attname),
        CASE c.relkind WHEN 'v' THEN 'view ' || c.relname ELSE format('column %s.%I', c.relname, a.attname) END,
        format('COLUMN %s.%I', c.oid::regclass, a.attname)
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE
        c.relkind IN ('r', 'p', 'v')
        AND NOT c.relispartition
        AND a.attnum > 0
        AND c.relnamespace = (SELECT h.oid FROM home AS h)
    UNION ALL
    SELECT
        'pg_constraint'::regclass,
        k.oid,
        0,
        format('constraint %s on %s', k.conname, c.relname),
        format('constraint %s on %s', k.conname, c.relname),
        format('CONSTRAINT %I ON %s', k.conname, c.oid::regclass)
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE
        NOT c.relispartition
        AND c.relnamespace = (SELECT h.oid FROM home AS h)
    UNION ALL
    SELECT
        'pg_trigger'::regclass,
        g.oid,
        0,
        format('trigger %s on %s', g.tgname, c.relname),
        format('trigger %s on %s', g.tgname, c.relname),
        format('TRIGGER %I ON %s', g.tgname, c.oid::regclass)
    FROM pg_trigger AS g
    JOIN pg_class AS c ON c.oid = g.tgrelid
    WHERE
        NOT c.relispartition
        AND NOT g.tgisinternal
        AND c.relnamespace = (SELECT h.oid FROM home AS h)
    UNION ALL
    SELECT
        'pg_proc'::regclass,
        p.oid,
        0,
        format('function %s(%s)', p.proname, oidvectortypes(p.proargtypes)),
        format('function %s(%s)', p.proname, oidvectortypes(p.proargtypes)),
        format('FUNCTION %s', p.oid::regprocedure)
    FROM pg_proc AS p
    WHERE
        p.prokind = 'f'
        AND p.pronamespace = (SELECT h.oid FROM home AS h)
) AS t
JOIN pg_description AS d ON d.classoid = t.class AND d.objoid = t.oid AND d.objsubid = t.column_number
ORDER BY create_order, d.objsubid, t.part_of;
