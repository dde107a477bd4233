-- List the partitions of a table that start before a time, ascending, and the tables that an interrupted prune
-- detached and marked with a comment.
--
-- Parameters:
--   parent      text         generation or forecasts
--   before_utc  timestamptz  the time
-- Result: row
--   partition  text         name with the schema, quoted where necessary
--   state      text         attached, detaching (half detached: needs DETACH ... FINALIZE) or detached
--   marked     boolean      whether prune has marked it with a comment
--   renamed    boolean      whether prune has renamed it
--   expired    boolean      whether it ends at or before the time
--   start_utc  timestamptz  lower bound; NULL: none
--   end_utc    timestamptz  upper bound, exclusive; NULL: none
--   rows       bigint       estimated number of rows; NULL: unknown
--   size       text         on disk, including indexes
-- Index: none (catalog tables)
-- Touches: none
WITH known AS (
    SELECT
        c.oid,
        c.relname,
        c.reltuples,
        format('%I.%I', n.nspname, c.relname) AS partition,
        i.inhrelid IS NOT NULL AS attached,
        i.inhdetachpending AS half_detached,
        pg_get_expr(c.relpartbound, c.oid) AS bounds,
        format('pvsite-sql prune: %I.%I ', h.nspname, p.relname) AS mark,
        obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS p
    JOIN pg_namespace AS h ON h.oid = p.relnamespace
    CROSS JOIN pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE
        p.relname = :'parent'::text
        AND p.relkind = 'p'
        AND pg_table_is_visible(p.oid)
        AND c.relkind IN ('r', 'p')
        AND (i.inhparent = p.oid OR i.inhrelid IS NULL)
),

bounded AS (
    SELECT
        k.oid,
        k.relname,
        k.reltuples,
        k.partition,
        COALESCE(starts_with(k.comment, k.mark), FALSE) AS marked,
        CASE WHEN NOT k.attached THEN 'detached' WHEN k.half_detached THEN 'detaching' ELSE 'attached' END AS state,
        regexp_match(
            COALESCE(k.bounds, CASE WHEN starts_with(k.comment, k.mark) THEN k.comment END),
            'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)'
        ) AS bound
    FROM known AS k
),

dated AS (
    SELECT
        b.oid,
        b.relname,
        b.reltuples,
        b.partition,
        b.marked,
        b.state,
        NULLIF(b.bound[1]::timestamptz, '-infinity') AS start_utc,
        NULLIF(b.bound[2]::timestamptz, 'infinity') AS end_utc
    FROM bounded AS b
    WHERE b.bound IS NOT NULL
)

SELECT
    d.partition,
    d.state,
    d.marked,
    d.relname LIKE '%\_pruned\_' || d.oid AS renamed,
    COALESCE(d.end_utc <= :'before_utc'::timestamptz, FALSE) AS expired,
    d.start_utc,
    d.end_utc,
    NULLIF(d.reltuples, -1)::bigint AS rows,
    pg_size_pretty(pg_total_relation_size(d.oid)) AS size
FROM dated AS d
WHERE COALESCE(d.start_utc, '-infinity') < :'before_utc'::timestamptz
ORDER BY d.start_utc NULLS FIRST, d.oid;
