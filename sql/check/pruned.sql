-- Tables that a prune has taken out of theirs and not dropped: it left a comment on them (see prune/detach_statements).
--
-- Parameters:
--   home     text    the schema
--   parents  text[]  the tables with a partition a month
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  what mends it; empty where no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
WITH marked AS (
    SELECT
        t.oid AS parent,
        t.relname AS parent_name,
        format('%I.%I', n.nspname, t.relname) AS whole_name,
        c.oid::regclass AS detached,
        c.relname AS name,
        obj_description(c.oid, 'pg_class') AS comment,
        format('pvsite-sql prune: %I.%I ', n.nspname, t.relname) AS mark
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    CROSS JOIN pg_class AS c
    WHERE n.nspname = :'home'::text AND t.relname = ANY(:'parents'::text[]) AND c.relkind = 'r' AND NOT c.relispartition
),

pruned AS (
    SELECT
        m.parent,
        m.parent_name,
        m.detached,
        m.name,
        b.bounds,
        -- the lock of prune/lock
        hashtextextended('pvsite-sql prune: ' || m.whole_name, 0) IN (
            SELECT (l.classid::bigint << 32) | l.objid::bigint
            FROM pg_locks AS l
            JOIN pg_database AS d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = current_database()
        ) AS is_at_work,
        b.bounds IN (
            SELECT pg_get_expr(p.relpartbound, p.oid)
            FROM pg_inherits AS i
            JOIN pg_class AS p ON p.oid = i.inhrelid
            WHERE i.inhparent = m.parent
        ) AS is_made_anew
    FROM marked AS m
    CROSS JOIN LATERAL substr(m.comment, length(m.mark) + 1) AS b (bounds)
    WHERE starts_with(m.comment, m.mark)
)

SELECT
    'pruned' AS kind,
    CASE WHEN p.is_at_work THEN 'information' ELSE 'warning' END AS severity,
    'table ' || p.name AS object,
    CASE
        WHEN p.is_at_work THEN format('was taken out of %s by a prune that is at work', p.parent_name)
        ELSE
            format(
                'was taken out of %s by a prune that was interrupted: its rows are stored, but not seen there; prune again%s',
                p.parent_name,
                CASE WHEN p.is_made_anew THEN ' (its month has a new partition by now)' ELSE ', or put it back' END
            )
    END AS message,
    CASE
        WHEN p.is_at_work OR p.is_made_anew THEN ''
        ELSE
            format(
                E'ALTER TABLE %s ATTACH PARTITION %s %s;\nCOMMENT ON TABLE %s IS NULL;',
                p.parent::regclass, p.detached, p.bounds, p.detached
            )
    END AS sql
FROM pruned AS p
ORDER BY p.name;
