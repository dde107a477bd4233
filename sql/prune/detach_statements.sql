-- Write the statements that detach a partition, in order. Names cannot be parameters, so the server writes and quotes
-- them. You can also run them by hand: with \x, psql shows one on each line.
--
-- Parameters:
--   parent     text  generation or forecasts
--   partition  text  name from prune/detach_tables
-- Result: row
--   mark         text  marks the partition with a comment that contains its bounds
--   detach       text  cannot run in a transaction block; waits, without a lock, for transactions that use the table
--   finalize     text  instead of detach, for a half-detached partition
--   rename       text  frees the name for a new partition of the month
--   new_name     text  the name after rename, with the schema
--   lock         text  blocks all access to the detached table
--   view         text  creates the view for prune/archive_generation and prune/archive_forecasts
--   drop         text  drops the detached table
--   attach       text  instead of drop: attaches the table again
--   remove_mark  text  removes the comment
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
    format('%I.%I', b.nspname, b.free_name) AS new_name,
    format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', b.partition) AS lock,
    format('CREATE TEMPORARY VIEW %I AS TABLE %s', :'parent'::text || '_pruned', b.partition) AS view,
    format('DROP TABLE %s', b.partition) AS drop,
    format('ALTER TABLE %s ATTACH PARTITION %s %s', b.parent, b.partition, b.bounds) AS attach,
    format('COMMENT ON TABLE %s IS NULL', b.partition) AS remove_mark
FROM bounded AS b;
