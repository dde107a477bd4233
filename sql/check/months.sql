-- List months without a partition: coming months that should have one, and gaps between the first and the last
-- partition. If another table, such as a detached partition, has the name of a missing partition, it cannot be
-- created. For months that have a partition for part of the month, see check/partition_bounds.
--
-- Parameters:
--   schema   text    the schema
--   parents  text[]  the tables that are partitioned by month
--   months   date[]  the first days of the coming months that should have a partition, ascending
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
WITH bounded AS (
    SELECT
        r.relname,
        CASE
            WHEN pg_get_expr(p.relpartbound, p.oid) = 'DEFAULT' THEN 'empty'
            ELSE tstzrange(m.bound[1]::timestamptz, m.bound[2]::timestamptz)
        END AS bounds
    FROM pg_class AS r
    JOIN pg_namespace AS n ON n.oid = r.relnamespace
    JOIN pg_inherits AS i ON i.inhparent = r.oid AND NOT i.inhdetachpending
    JOIN pg_class AS p ON p.oid = i.inhrelid
    CROSS JOIN
        LATERAL regexp_match(
            pg_get_expr(p.relpartbound, p.oid), 'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)'
        ) AS m (bound)
    WHERE n.nspname = :'schema'::text
),

covered AS (
    SELECT
        t.parent,
        COALESCE(range_agg(b.bounds) FILTER (WHERE NOT isempty(b.bounds)), '{}') AS ranges
    FROM unnest(:'parents'::text[]) AS t (parent)
    LEFT JOIN bounded AS b ON b.relname = t.parent
    GROUP BY t.parent
),

required AS (
    SELECT
        c.parent,
        c.ranges,
        m.month,
        TRUE AS ahead
    FROM covered AS c
    CROSS JOIN unnest(:'months'::date[]) AS m (month)
    UNION ALL
    SELECT
        c.parent,
        c.ranges,
        m.month::date,
        FALSE
    FROM covered AS c
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', lower(c.ranges)),
        LEAST(COALESCE(upper(c.ranges), 'infinity'), (:'months'::date[])[1]::timestamptz) - interval '1 month',
        interval '1 month'
    ) AS m (month)
),

detached AS (
    SELECT
        c.oid,
        c.relname
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND NOT i.inhdetachpending
    WHERE
        n.nspname = :'schema'::text
        AND c.relkind = 'r'
        AND i.inhrelid IS NULL
        AND NOT starts_with(COALESCE(obj_description(c.oid, 'pg_class'), ''), 'pvsite-sql prune: ')  -- see check/pruned
),

missing AS (
    SELECT
        w.parent,
        w.month,
        w.ahead,
        d.oid AS detached,
        -- ensure_month_partitions takes at most 240 months in a call
        (row_number() OVER (PARTITION BY w.parent, w.ahead, d.oid ORDER BY w.month) - 1) / 240 AS batch
    FROM required AS w
    LEFT JOIN detached AS d ON d.relname = w.parent || to_char(w.month, '"_p"YYYY_MM')
    WHERE NOT w.ranges && tstzrange(w.month::timestamptz, w.month + interval '1 month')
)

SELECT
    'partition' AS kind,
    CASE WHEN NOT p.ahead THEN 'information' WHEN p.detached IS NOT NULL THEN 'error' ELSE 'warning' END AS severity,
    'table ' || p.parent AS object,
    CASE
        WHEN p.detached IS NOT NULL
            THEN
                format(
                    'has no partition for %s, and none can be created: %s has its name, but is not a partition',
                    p.listed, p.detached::regclass
                )
        WHEN p.ahead THEN 'has no partition for ' || p.listed || ': run this statement or `pvsite-sql migrate`'
        ELSE 'has partitions before and after, but none for ' || p.listed || ': inserts create it when they need it'
    END AS message,
    CASE
        WHEN p.detached IS NULL THEN format('SELECT %I.ensure_month_partitions(%L, %L);', :'schema'::text, p.parent, p.months)
        ELSE format(
            'ALTER TABLE %I.%I ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L);', :'schema'::text, p.parent, p.detached::regclass,
            p.months[1]::timestamptz, p.months[1]::timestamptz + interval '1 month'
        )
    END AS sql
FROM (
    SELECT
        m.parent,
        m.ahead,
        m.detached,
        array_agg(m.month ORDER BY m.month) AS months,
        string_agg(to_char(m.month, 'YYYY-MM'), ', ' ORDER BY m.month) AS listed
    FROM missing AS m
    GROUP BY m.parent, m.ahead, m.detached, m.batch
) AS p
ORDER BY p.parent, p.months;
