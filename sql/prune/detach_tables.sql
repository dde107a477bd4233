-- The partitions of a table that begin before a time, ascending, and what is left of an interrupted prune: tables that
-- are detached and have its mark, a comment.
--
-- Parameters:
--   parent      text         generation or forecasts
--   before_utc  timestamptz  the time
-- Result: row
--   partition  text         with its schema, quoted where need be
--   state      text         attached, detaching (half: DETACH ... FINALIZE is left to do), or detached
--   marked     boolean      whether prune has begun with it
--   renamed    boolean      whether prune gave it a name that is in no new partition's way
--   whole      boolean      whether it ends by then
--   from_utc   timestamptz  its lower bound; NULL: none
--   to_utc     timestamptz  its upper bound, not included; NULL: none
--   rows       bigint       an estimate; NULL: none yet
--   size       text         on disk, indexes included
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
        NULLIF(b.bound[1]::timestamptz, '-infinity') AS from_utc,
        NULLIF(b.bound[2]::timestamptz, 'infinity') AS to_utc
    FROM bounded AS b
    WHERE b.bound IS NOT NULL
)

SELECT
    d.partition,
    d.state,
    d.marked,
    d.relname LIKE '%\_pruned\_' || d.oid AS renamed,
    COALESCE(d.to_utc <= :'before_utc'::timestamptz, FALSE) AS whole,
    d.from_utc,
    d.to_utc,
    NULLIF(d.reltuples, -1)::bigint AS rows,
    pg_size_pretty(pg_total_relation_size(d.oid)) AS size
FROM dated AS d
WHERE COALESCE(d.from_utc, '-infinity') < :'before_utc'::timestamptz
ORDER BY d.from_utc NULLS FIRST, d.oid;
