-- Write the statements that tidy a partition, in order. Names cannot be parameters, so the server writes and quotes
-- them. None of them can run in a transaction block. You can also run them by hand.
--
-- - drop: one for each index that an interrupted REINDEX CONCURRENTLY has left.
-- - reindex: one for each valid index. The one that check/layout measures comes last: if the rest is interrupted, the
--   next run starts again. Does not block readers or writers.
-- - cluster: instead of reindex. By the unique index that starts with the site. Blocks readers and writers.
-- - vacuum: always last. INDEX_CLEANUP, because VACUUM leaves dead rows in the indexes if they are few. Does not block
--   readers or writers.
--
-- Parameters:
--   partition   text  with the schema, quoted where necessary
--   last_index  text  name of the index to rebuild last; empty: none
-- Result: row
--   step       text  drop, reindex, cluster or vacuum
--   statement  text
-- Index: none (catalog tables)
-- Touches: none
WITH indexes AS (
    SELECT
        i.indexrelid,
        i.indisvalid,
        i.indisvalid AND i.indisunique AND a.attname = 'site_uuid' AS by_site,
        x.relname,
        format('%I.%I', n.nspname, x.relname) AS index
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_namespace AS n ON n.oid = x.relnamespace
    LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass(:'partition'::text)
)

SELECT
    s.step,
    s.statement
FROM (
    SELECT
        1 AS step_order,
        'drop' AS step,
        i.relname,
        format('DROP INDEX CONCURRENTLY IF EXISTS %s', i.index) AS statement
    FROM indexes AS i
    WHERE NOT i.indisvalid AND i.relname ~ '_cc(new|old)\d*$'
    UNION ALL
    SELECT
        CASE i.relname WHEN NULLIF(:'last_index'::text, '') THEN 3 ELSE 2 END,
        'reindex',
        i.relname,
        format('REINDEX INDEX CONCURRENTLY %s', i.index)
    FROM indexes AS i
    WHERE i.indisvalid
    UNION ALL
    (
        SELECT
            4,
            'cluster',
            i.relname,
            format('CLUSTER %s USING %I', :'partition'::text, i.relname)
        FROM indexes AS i
        WHERE i.by_site
        ORDER BY i.indexrelid
        LIMIT 1
    )
    UNION ALL
    SELECT
        5,
        'vacuum',
        '',
        format('VACUUM (FREEZE, ANALYZE, INDEX_CLEANUP ON) %s', :'partition'::text)
    WHERE to_regclass(:'partition'::text) IS NOT NULL
) AS s
ORDER BY s.step_order, s.relname;
