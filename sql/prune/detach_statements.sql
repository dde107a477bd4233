-- The statements that take a partition out of its table, in their order, for they need names, which cannot be parameters.
-- The server writes and quotes them, and they are run as they stand; by hand too: with \x, psql shows one a line.
--
-- Parameters:
--   parent     text  generation or forecasts
--   partition  text  as prune/detach_tables names it
-- Result: row
--   mark      text  notes in a comment that prune detaches the partition, and its bounds
--   detach    text  not in a transaction block; waits, without a lock, for all who use the table
--   finalize  text  instead, for a partition that an interrupted detach has left half detached
--   rename    text  frees the name for rows of the month that come later
--   renamed   text  its name then, with its schema
--   hold      text  keeps everybody else out of the detached table
--   view      text  a temporary view of it, for prune/archive_generation and prune/archive_forecasts
--   drop      text  and its rows are gone
--   attach    text  instead of drop: puts it back
--   unmark    text  takes the comment away
-- Index: none (catalog tables)
-- Touches: none
WITH known AS (
    SELECT
        c.oid,
        c.relname,
        n.nspname,
        format('%I.%I', n.nspname, c.relname) AS partition,
        format('%I.%I', h.nspname, p.relname) AS parent,
        format('pvsite-sql prune: %I.%I ', h.nspname, p.relname) AS mark,
        pg_get_expr(c.relpartbound, c.oid) AS bounds,
        obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS p
    JOIN pg_namespace AS h ON h.oid = p.relnamespace
    CROSS JOIN pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE
        p.relname = :'parent'::text
        AND p.relkind = 'p'
        AND pg_table_is_visible(p.oid)
        AND format('%I.%I', n.nspname, c.relname) = :'partition'::text
),

bounded AS (
    SELECT
        k.nspname,
        k.partition,
        k.parent,
        left(k.relname, 40) || '_pruned_' || k.oid AS free_name,
        k.mark,
        COALESCE(k.bounds, substr(k.comment, length(k.mark) + 1)) AS bounds
    FROM known AS k
    WHERE k.bounds IS NOT NULL OR starts_with(k.comment, k.mark)
)

SELECT
    format('COMMENT ON TABLE %s IS %L', b.partition, b.mark || b.bounds) AS mark,
    format('ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY', b.parent, b.partition) AS detach,
    format('ALTER TABLE %s DETACH PARTITION %s FINALIZE', b.parent, b.partition) AS finalize,
    format('ALTER TABLE %s RENAME TO %I', b.partition, b.free_name) AS rename,
    format('%I.%I', b.nspname, b.free_name) AS renamed,
    format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', b.partition) AS hold,
    format('CREATE TEMPORARY VIEW %I AS TABLE %s', :'parent'::text || '_pruned', b.partition) AS view,
    format('DROP TABLE %s', b.partition) AS drop,
    format('ALTER TABLE %s ATTACH PARTITION %s %s', b.parent, b.partition, b.bounds) AS attach,
    format('COMMENT ON TABLE %s IS NULL', b.partition) AS unmark
FROM bounded AS b;
