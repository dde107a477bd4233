-- The constraints of the tables as they are, but for NOT NULL, whether the rows were checked, and whether foreign keys hold, as
-- facts (see check/drift_tables).
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
    f.kind,
    f.object,
    f.part_of,
    f.definition,
    'error' AS severity,
    f.undo,
    f.make,
    f.mend,
    k.oid::bigint AS made
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
            -- in two steps, of which the second one, that reads the rows, lets others read and write
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.oid::regclass, k.conname, t.definition)
            || CASE WHEN k.contype = 'c' OR (k.contype = 'f' AND c.relkind = 'r') THEN E' NOT VALID;\n' || t.validated ELSE ';' END
        )
    ) AS w (undo, make)
CROSS JOIN
    LATERAL (
        VALUES
        (
            1,
            'constraint',
            t.name,
            'table ' || c.relname,
            t.definition,
            w.undo,
            w.make,
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
            -- made anew rather than enabled, so that it is held against the rows that came meanwhile
            concat_ws(
                E'\n', w.undo, w.make,
                format('COMMENT ON CONSTRAINT %I ON %s IS ', k.conname, c.oid::regclass)
                || quote_literal(obj_description(k.oid, 'pg_constraint')) || ';'
            )
        )
    ) AS f (position, kind, object, part_of, definition, undo, make, mend)
WHERE
    n.nspname = :'home'::text
    AND k.contype IN ('p', 'u', 'x', 'c', 'f')
    AND (f.kind <> 'constraint state' OR k.contype = 'f')
    AND NOT c.relispartition
    AND c.relname !~ '^_?yoyo_'
ORDER BY made, f.position;
