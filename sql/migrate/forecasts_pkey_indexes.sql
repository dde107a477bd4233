-- Write the statements that build the index of the primary key of forecasts on each partition that lacks it. They do not
-- block readers or writers. `pvsite-sql migrate` runs them before migration 0003, one by one and in autocommit mode. An
-- invalid index, left by an interrupted run, is dropped first. To run them by hand, pipe the output of psql into psql.
--
-- Parameters: none
-- Result: row
--   statement  text
-- Index: none (catalog tables)
-- Touches: none
WITH leaves AS (
    SELECT
        c.oid,
        n.nspname,
        left(c.relname, 58) || '_pkey' AS key_name
    FROM pg_partition_tree(to_regclass('forecasts')) AS t
    JOIN pg_class AS c ON c.oid = t.relid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE
        t.isleaf
        AND c.relkind = 'r'
        AND NOT EXISTS (
            SELECT FROM pg_index AS p
            WHERE p.indrelid = c.oid AND p.indisprimary
        )
),

unbuilt AS (
    SELECT
        l.oid,
        l.nspname,
        l.key_name,
        i.indexrelid IS NOT NULL AS is_invalid
    FROM leaves AS l
    LEFT JOIN pg_class AS x ON x.relname = l.key_name AND x.relnamespace::regnamespace::text = quote_ident(l.nspname)
    LEFT JOIN pg_index AS i ON i.indexrelid = x.oid AND i.indrelid = l.oid
    WHERE i.indisvalid IS NOT TRUE
)

SELECT s.statement
FROM unbuilt AS u
CROSS JOIN
    LATERAL (
        VALUES
        (1, CASE WHEN u.is_invalid THEN format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I;', u.nspname, u.key_name) END),
        (
            2,
            format(
                'CREATE UNIQUE INDEX CONCURRENTLY %I ON %s (forecast_uuid, site_uuid, timestamp_utc);',
                u.key_name, u.oid::regclass
            )
        )
    ) AS s (position, statement)
WHERE s.statement IS NOT NULL
ORDER BY u.oid::regclass::text, s.position;
