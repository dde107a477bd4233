-- List what a partition lacks although its table has it: triggers, indexes, validated constraints, defaults.
-- PostgreSQL itself keeps columns, types, NOT NULL and CHECK constraints equal.
--
-- Parameters:
--   schema    text   the schema
--   expected  jsonb  facts: the expected triggers of the tables
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
WITH partitions AS (
    SELECT
        t.oid AS parent,
        t.relname AS parent_name,
        p.oid AS partition,
        p.relname AS name,
        p.relnamespace::regnamespace AS namespace,
        p.relkind,
        p.relpersistence
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    JOIN pg_inherits AS i ON i.inhparent = t.oid
    JOIN pg_class AS p ON p.oid = i.inhrelid
    WHERE n.nspname = :'schema'::text AND t.relkind = 'p'
),

triggers AS (
    SELECT
        p.partition,
        p.name,
        split_part(e.object, ' ', 2) AS trigger,
        replace(
            e.definition, format(' ON %s ', p.parent::regclass), format(' ON %s ', p.partition::regclass)
        ) AS definition
    FROM partitions AS p
    JOIN jsonb_to_recordset(:'expected'::jsonb -> 'facts') AS e (kind text, object text, part_of text, definition text)
        ON e.kind = 'trigger' AND e.part_of = 'table ' || p.parent_name
    WHERE p.relkind IN ('r', 'p')
)

SELECT
    f.kind,
    f.severity,
    f.object,
    f.message,
    f.sql
FROM (
    SELECT
        'trigger' AS kind,
        'error' AS severity,
        format('trigger %s on %s', t.trigger, t.name) AS object,
        CASE
            WHEN g.oid IS NULL THEN 'is missing'
            WHEN pg_get_triggerdef(g.oid) <> t.definition THEN format('is %s, not %s', pg_get_triggerdef(g.oid), t.definition)
            ELSE 'does not fire'
        END AS message,
        CASE
            WHEN g.oid IS NULL OR pg_get_triggerdef(g.oid) <> t.definition
                THEN regexp_replace(t.definition, '^CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER') || ';'
            ELSE format('ALTER TABLE %s ENABLE TRIGGER %I;', t.partition::regclass, t.trigger)
        END AS sql
    FROM triggers AS t
    LEFT JOIN pg_trigger AS g ON g.tgrelid = t.partition AND g.tgname = t.trigger AND NOT g.tgisinternal
    WHERE g.oid IS NULL OR (g.tgenabled <> 'O' AND g.tgenabled <> 'A') OR pg_get_triggerdef(g.oid) <> t.definition
    UNION ALL
    SELECT
        'index',
        CASE WHEN k.oid IS NULL THEN 'warning' ELSE 'error' END,
        format('index %s of %s', x.relname, p.name),
        'is missing',
        CASE
            WHEN k.oid IS NULL
                THEN
                    regexp_replace(
                        pg_get_indexdef(i.indexrelid), 'INDEX \S+ ON ONLY .+? USING ',
                        format('INDEX CONCURRENTLY %I ON %s USING ', l.name, p.partition::regclass)
                    )
            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', p.partition::regclass, l.name, pg_get_constraintdef(k.oid))
        END || format(E';\nALTER INDEX %s ATTACH PARTITION %s.%I;', x.oid::regclass, p.namespace, l.name)
    FROM partitions AS p
    JOIN pg_index AS i ON i.indrelid = p.parent
    JOIN pg_class AS x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    CROSS JOIN
        LATERAL (
            SELECT left(
                p.name || CASE
                    WHEN starts_with(x.relname, p.parent_name || '_') THEN substr(x.relname, length(p.parent_name) + 1)
                    ELSE '_' || x.relname
                END, 63
            ) AS name
        ) AS l
    WHERE
        p.relkind IN ('r', 'p')
        AND NOT EXISTS (
            SELECT FROM pg_inherits AS h
            JOIN pg_index AS c ON c.indexrelid = h.inhrelid
            WHERE h.inhparent = i.indexrelid AND c.indrelid = p.partition
        )
    UNION ALL
    SELECT
        'constraint',
        'error',
        format('constraint %s on %s', k.conname, p.name),
        'is not validated',
        format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', p.partition::regclass, k.conname)
    FROM partitions AS p
    JOIN pg_constraint AS k ON k.conrelid = p.partition AND NOT k.convalidated
    UNION ALL
    SELECT
        'default',
        'warning',
        format('default of %s.%I', p.name, a.attname),
        format('is %s, not %s', COALESCE(o.value, 'none'), COALESCE(d.value, 'none')),
        format('ALTER TABLE %s ALTER COLUMN %I ', p.partition::regclass, a.attname)
        || COALESCE('SET DEFAULT ' || d.value || ';', 'DROP DEFAULT;')
    FROM partitions AS p
    JOIN pg_attribute AS a ON a.attrelid = p.parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    JOIN pg_attribute AS b ON b.attrelid = p.partition AND b.attname = a.attname
    LEFT JOIN LATERAL (
        SELECT pg_get_expr(e.adbin, e.adrelid) AS value FROM pg_attrdef AS e
        WHERE e.adrelid = p.parent AND e.adnum = a.attnum
    ) AS d ON TRUE
    LEFT JOIN LATERAL (
        SELECT pg_get_expr(e.adbin, e.adrelid) AS value FROM pg_attrdef AS e
        WHERE e.adrelid = p.partition AND e.adnum = b.attnum
    ) AS o ON TRUE
    WHERE d.value IS DISTINCT FROM o.value
    UNION ALL
    SELECT
        'persistence',
        'error',
        format('persistence of %s', p.name),
        'is unlogged: its rows are lost after a crash',
        format('ALTER TABLE %s SET LOGGED;', p.partition::regclass)
    FROM partitions AS p
    WHERE p.relpersistence = 'u'
) AS f
ORDER BY f.object, f.message;
