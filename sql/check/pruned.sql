-- List tables that an interrupted prune has detached but not dropped. It marks them with a comment (see
-- prune/detach_statements).
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
WITH marked AS (
    SELECT
        t.oid AS parent,
        t.relname AS parent_name,
        format('%I.%I', n.nspname, t.relname) AS qualified_name,
        c.oid::regclass AS detached,
        c.relname AS name,
        obj_description(c.oid, 'pg_class') AS comment,
        format('pvsite-sql prune: %I.%I ', n.nspname, t.relname) AS mark
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    CROSS JOIN pg_class AS c
    WHERE n.nspname = :'schema'::text AND t.relname = ANY(:'parents'::text[]) AND c.relkind = 'r' AND NOT c.relispartition
),

pruned AS (
    SELECT
        m.parent,
        m.parent_name,
        m.detached,
        m.name,
        b.bounds,
        -- the advisory lock of prune/lock
        hashtextextended('pvsite-sql prune: ' || m.qualified_name, 0) IN (
            SELECT (l.classid::bigint << 32) | l.objid::bigint
            FROM pg_locks AS l
            JOIN pg_database AS d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = current_database()
        ) AS is_running,
        b.bounds IN (
            SELECT pg_get_expr(p.relpartbound, p.oid)
            FROM pg_inherits AS i
            JOIN pg_class AS p ON p.oid = i.inhrelid
            WHERE i.inhparent = m.parent
        ) AS is_replaced
    FROM marked AS m
    CROSS JOIN LATERAL substr(m.comment, length(m.mark) + 1) AS b (bounds)
    WHERE starts_with(m.comment, m.mark)
)

SELECT
    'pruned' AS kind,
    CASE WHEN p.is_running THEN 'information' ELSE 'warning' END AS severity,
    'table ' || p.name AS object,
    CASE
        WHEN p.is_running THEN format('was detached from %s by a prune that is still running', p.parent_name)
        ELSE
            format(
                'was detached from %s by an interrupted prune: its rows are stored, but not visible there; run prune again%s',
                p.parent_name,
                CASE WHEN p.is_replaced THEN ' (its month has a new partition)' ELSE ' or attach it again' END
            )
    END AS message,
    CASE
        WHEN p.is_running OR p.is_replaced THEN ''
        ELSE
            format(
                E'ALTER TABLE %s ATTACH PARTITION %s %s;\nCOMMENT ON TABLE %s IS NULL;',
                p.parent::regclass, p.detached, p.bounds, p.detached
            )
    END AS sql
FROM pruned AS p
ORDER BY p.name;
