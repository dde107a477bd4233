-- List the partitions of a table that lie in a window, ascending, and say which of them cannot be tidied. Default
-- partitions are left out. pg_get_expr would wait for a partition that another session has locked, so the month of such
-- a one is taken from its name.
--
-- Parameters:
--   schema      text         the schema
--   parent      text         generation or forecasts
--   since_utc   timestamptz  partitions that start here or later; -infinity: unbounded
--   before_utc  timestamptz  partitions that end here or earlier
-- Result: row
--   partition  text         name with the schema, quoted where necessary
--   name       text         name without the schema
--   start_utc  timestamptz  lower bound; NULL: none
--   end_utc    timestamptz  upper bound, exclusive
--   owner      text
--   is_owner   boolean      whether the user has the privileges of the owner
--   is_locked  boolean      whether another session blocks all access to it
--   reason     text         why it cannot be tidied; empty: it can
-- Index: none (catalog tables)
-- Touches: none
WITH known AS (
    SELECT
        c.relname,
        c.relkind,
        c.relowner,
        p.relname AS parent_name,
        format('%I.%I', n.nspname, c.relname) AS partition,
        i.inhrelid IS NOT NULL AS attached,
        i.inhdetachpending AS half_detached,
        x.locked,
        CASE WHEN NOT x.locked THEN pg_get_expr(c.relpartbound, c.oid) END AS bounds,
        to_timestamp(substring(c.relname FROM '_p(\d{4}_\d{2})$') || ' 00+00', 'YYYY_MM HH24TZH') AS named_utc,
        format('pvsite-sql prune: %I.%I ', h.nspname, p.relname) AS mark,
        obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS p
    JOIN pg_namespace AS h ON h.oid = p.relnamespace
    CROSS JOIN pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    CROSS JOIN
        LATERAL (
            SELECT count(*) > 0 AS locked
            FROM pg_locks AS l
            JOIN pg_database AS b ON b.oid = l.database
            WHERE
                l.relation = c.oid
                AND b.datname = current_database()
                AND l.mode = 'AccessExclusiveLock'
                AND l.granted
        ) AS x
    WHERE
        h.nspname = :'schema'::text
        AND p.relname = :'parent'::text
        AND p.relkind = 'p'
        AND c.relkind IN ('r', 'p', 'f')
        AND (i.inhparent = p.oid OR i.inhrelid IS NULL)
),

bounded AS (
    SELECT
        k.relname,
        k.relkind,
        k.relowner,
        k.parent_name,
        k.partition,
        k.attached,
        k.half_detached,
        k.locked,
        k.named_utc,
        COALESCE(starts_with(k.comment, k.mark), FALSE) AS marked,
        regexp_match(
            COALESCE(k.bounds, CASE WHEN starts_with(k.comment, k.mark) THEN k.comment END),
            'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)'
        ) AS bound
    FROM known AS k
),

dated AS (
    SELECT
        b.relname,
        b.relkind,
        b.relowner,
        b.parent_name,
        b.partition,
        b.attached,
        b.half_detached,
        b.locked,
        b.marked,
        CASE WHEN b.bound IS NULL THEN b.named_utc ELSE NULLIF(b.bound[1]::timestamptz, '-infinity') END AS start_utc,
        CASE
            WHEN b.bound IS NULL THEN (b.named_utc AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
            ELSE NULLIF(b.bound[2]::timestamptz, 'infinity')
        END AS end_utc
    FROM bounded AS b
    WHERE b.bound IS NOT NULL OR (b.locked AND b.attached)
)

SELECT
    d.partition,
    d.relname::text AS name,
    d.start_utc,
    d.end_utc,
    pg_get_userbyid(d.relowner)::text AS owner,
    pg_has_role(d.relowner, 'USAGE') AS is_owner,
    d.locked AS is_locked,
    CASE
        WHEN NOT d.attached THEN format('is detached from %s by an interrupted prune: run prune again', d.parent_name)
        WHEN d.half_detached THEN format('is half detached from %s: run prune again', d.parent_name)
        WHEN d.marked THEN 'is about to be detached by a prune that runs or was interrupted'
        WHEN d.locked THEN 'is locked by another session'
        WHEN d.relkind = 'f' THEN 'is a foreign table'
        WHEN d.relkind = 'p' THEN 'is partitioned itself'
        ELSE ''
    END AS reason
FROM dated AS d
WHERE
    d.end_utc <= :'before_utc'::timestamptz
    AND COALESCE(d.start_utc, '-infinity') >= :'since_utc'::timestamptz
ORDER BY d.end_utc, d.partition;
