-- List the constraints of the tables as facts, except NOT NULL: definition, whether they are validated, and whether
-- foreign keys are enforced (see check/drift_tables).
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
    k.oid::bigint AS create_order
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN
    LATERAL (
        VALUES
        (
            format('constraint %s on %s', k.conname, c.relname),
            regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
            format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', c.oid::regclass, k.conname)
        )
    ) AS t (name, definition, validated)
CROSS JOIN
    LATERAL (
        VALUES
        (
            format('ALTER TABLE %s DROP CONSTRAINT %I;', c.oid::regclass, k.conname),
            -- in two steps: the second one reads the rows, and does not block readers or writers
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.oid::regclass, k.conname, t.definition)
            || CASE WHEN k.contype = 'c' OR (k.contype = 'f' AND c.relkind = 'r') THEN E' NOT VALID;\n' || t.validated ELSE ';' END
        )
    ) AS w (drop_sql, create_sql)
CROSS JOIN
    LATERAL (
        VALUES
        (
            1,
            'constraint',
            t.name,
            'table ' || c.relname,
            t.definition,
            w.drop_sql,
            w.create_sql,
            ''
        ),
        (
            2,
            'validity',
            'validity of ' || t.name,
            t.name,
            CASE WHEN k.convalidated THEN 'validated' ELSE 'not validated' END,
            '',
            '',
            t.validated
        ),
        (
            3,
            'constraint state',
            'state of ' || t.name,
            t.name,
            CASE
                WHEN EXISTS (
                    SELECT FROM pg_trigger AS g
                    WHERE g.tgconstraint = k.oid AND g.tgenabled IN ('D', 'R')
                ) THEN 'disabled'
                ELSE 'enabled'
            END,
            '',
            '',
            -- recreated, not enabled, so that rows written in the meantime are checked
            concat_ws(
                E'\n', w.drop_sql, w.create_sql,
                format('COMMENT ON CONSTRAINT %I ON %s IS ', k.conname, c.oid::regclass)
                || quote_literal(obj_description(k.oid, 'pg_constraint')) || ';'
            )
        )
    ) AS f (position, kind, object, part_of, definition, drop_sql, create_sql, fix_sql)
WHERE
    n.nspname = :'schema'::text
    AND k.contype IN ('p', 'u', 'x', 'c', 'f')
    AND (f.kind <> 'constraint state' OR k.contype = 'f')
    AND NOT c.relispartition
    AND c.relname !~ '^_?yoyo_'
ORDER BY create_order, f.position;
