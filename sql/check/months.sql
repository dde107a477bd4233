-- Months without any partition: of those that should be there ahead, and between the first and the last one stored. Of months
-- that have one for a part of them, check/partition_bounds tells.
--
-- Parameters:
--   home     text    the schema
--   parents  text[]  the tables with a partition a month
--   months   date[]  the first days of the months that should be there ahead, ascending
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  what mends it; empty where no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: drift/settings
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
    WHERE n.nspname = :'home'::text
),

covered AS (
    SELECT
        t.parent,
        COALESCE(range_agg(b.bounds) FILTER (WHERE NOT isempty(b.bounds)), '{}') AS ranges
    FROM unnest(:'parents'::text[]) AS t (parent)
    LEFT JOIN bounded AS b ON b.relname = t.parent
    GROUP BY t.parent
),

wanted AS (
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

missing AS (
    SELECT
        w.parent,
        w.month,
        w.ahead,
        -- ensure_month_partitions takes 240 at once
        (row_number() OVER (PARTITION BY w.parent, w.ahead ORDER BY w.month) - 1) / 240 AS lot
    FROM wanted AS w
    WHERE NOT w.ranges && tstzrange(w.month::timestamptz, w.month + interval '1 month')
)

SELECT
    'partition' AS kind,
    CASE WHEN p.ahead THEN 'warning' ELSE 'information' END AS severity,
    'table ' || p.parent AS object,
    CASE
        WHEN p.ahead THEN 'has no partition for ' || p.named || ': the statement makes it, or `pvsite-sql migrate`'
        ELSE 'has partitions before and after, but none for ' || p.named || ': inserts make it if rows come'
    END AS message,
    format('SELECT %I.ensure_month_partitions(%L, %L);', :'home'::text, p.parent, p.months) AS sql
FROM (
    SELECT
        m.parent,
        m.ahead,
        array_agg(m.month ORDER BY m.month) AS months,
        string_agg(to_char(m.month, 'YYYY-MM'), ', ' ORDER BY m.month) AS named
    FROM missing AS m
    GROUP BY m.parent, m.ahead, m.lot
) AS p
ORDER BY p.parent, p.months;
