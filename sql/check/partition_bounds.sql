-- List partitions whose bounds are not whole months (UTC), default partitions and half-detached partitions. Bounds
-- inside a month are an error if the rest of the month has no partition: none can be created for it.
--
-- Parameters:
--   schema   text    the schema
--   parents  text[]  the tables that are partitioned by month
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
        i.inhdetachpending AS pending,
        b.bounds,
        m.bound[1]::timestamptz AS start_utc,
        m.bound[2]::timestamptz AS end_utc
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    JOIN pg_inherits AS i ON i.inhparent = t.oid
    JOIN pg_class AS p ON p.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(p.relpartbound, p.oid) AS b (bounds)
    CROSS JOIN LATERAL regexp_match(b.bounds, 'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)') AS m (bound)
    WHERE n.nspname = :'schema'::text AND t.relname = ANY(:'parents'::text[])
),

covered AS (
    SELECT
        p.parent,
        range_agg(tstzrange(p.start_utc, p.end_utc)) AS ranges
    FROM partitions AS p
    WHERE p.bounds <> 'DEFAULT' AND NOT p.pending
    GROUP BY p.parent
),

unaligned AS (
    SELECT
        p.parent,
        p.partition,
        date_trunc('month', p.start_utc) AS first_month,
        date_trunc('month', p.end_utc - interval '1 microsecond') AS last_month
    FROM partitions AS p
    WHERE NOT p.pending AND (p.start_utc <> date_trunc('month', p.start_utc) OR p.end_utc <> date_trunc('month', p.end_utc))
),

partial AS (
    SELECT
        o.partition,
        ARRAY(SELECT m.month::date FROM generate_series(o.first_month, o.last_month, interval '1 month') AS m (month)) AS months,
        (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
            FROM pg_attribute AS a
            WHERE a.attrelid = o.parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ) AS columns
    FROM unaligned AS o
    JOIN covered AS c ON c.parent = o.parent
    WHERE NOT c.ranges @> tstzrange(o.first_month, o.last_month + interval '1 month')
)

SELECT
    'partition' AS kind,
    CASE WHEN p.pending THEN 'warning' WHEN c.months IS NOT NULL THEN 'error' ELSE 'information' END AS severity,
    'table ' || p.name AS object,
    CASE
        WHEN p.pending THEN format('is half detached from %s: its rows are not visible there', p.parent_name)
        WHEN
            p.bounds = 'DEFAULT'
            THEN format('is a default partition of %s: rows of months without a partition are stored there', p.parent_name)
        WHEN c.months IS NOT NULL THEN format('covers part of a month, so no partition can be created for the rest: %s', p.bounds)
        ELSE format('is not aligned to whole months (UTC): %s', p.bounds)
    END AS message,
    CASE
        WHEN p.pending THEN format('ALTER TABLE %s DETACH PARTITION %s FINALIZE;', p.parent::regclass, p.partition::regclass)
        WHEN c.months IS NULL THEN ''
        ELSE concat_ws(
            E'\n',
            'BEGIN;',
            format('ALTER TABLE %s DETACH PARTITION %s;', p.parent::regclass, p.partition::regclass),
            format('ALTER TABLE %s RENAME TO %I;', p.partition::regclass, w.name),
            format('SELECT %I.ensure_month_partitions(%L, %L);', :'schema'::text, p.parent_name, c.months),
            format(
                'INSERT INTO %s (%s) SELECT %s FROM %s.%I;', p.parent::regclass, c.columns, c.columns, p.namespace, w.name
            ),
            format('DROP TABLE %s.%I;', p.namespace, w.name),
            'COMMIT;'
        )
    END AS sql
FROM partitions AS p
LEFT JOIN partial AS c ON c.partition = p.partition
CROSS JOIN LATERAL left(p.name || '_detached', 63) AS w (name)
WHERE p.pending OR p.bounds = 'DEFAULT' OR p.partition IN (SELECT o.partition FROM unaligned AS o)
ORDER BY p.name;
