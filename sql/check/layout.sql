-- Measure what a partition would gain from CLUSTER, REINDEX and VACUUM, from the catalog and a sample of its pages. No
-- row if it does not exist.
--
-- - CLUSTER: how many times as many pages hold a site's rows as would if the rows were in order. Rows that came in
--   batches of a day or longer are as good as in order.
-- - REINDEX: the size of the primary key, or of another index of columns of fixed length, over its size once it is
--   built anew. An index that an interrupted REINDEX CONCURRENTLY has left counts too.
-- - VACUUM: the share of rows that are not frozen or dead, or of pages that are not marked as visible to all.
--
-- Parameters:
--   partition      text    with the schema, quoted where necessary
--   pages          bigint  from check/layout_generation or check/layout_forecasts
--   rows           bigint  likewise
--   site_pages     bigint  likewise
--   unfrozen_rows  bigint  likewise
-- Result: row
--   rows          bigint            about how many it has
--   heap_bytes    bigint            without indexes
--   size          text              with indexes
--   spread        double precision  pages that hold a site's rows, over the pages that would hold them in order
--   index_name    text              the index that was measured; NULL: there is none
--   index_growth  double precision  its size over its size once it is built anew
--   unvacuumed    double precision  share of rows or pages that VACUUM (FREEZE) has something to do with
--   cluster       boolean           whether CLUSTER is worth while
--   reindex       boolean           whether REINDEX is
--   vacuum        boolean           whether VACUUM is
-- Index: none (catalog tables, all sites)
-- Touches: sites
WITH heap AS (
    SELECT
        c.oid,
        b.block_size,
        pg_relation_size(c.oid) AS bytes,
        pg_relation_size(c.oid) / b.block_size AS pages,
        c.relallvisible AS visible_pages,
        pg_stat_get_dead_tuples(c.oid) AS dead_rows,
        -- as the planner does
        CASE
            WHEN c.reltuples >= 0 AND c.relpages > 0 THEN c.reltuples / c.relpages::float8
            ELSE :'rows'::bigint / GREATEST(:'pages'::bigint, 1)::float8
        END AS page_rows
    FROM pg_class AS c
    CROSS JOIN current_setting('block_size') AS s (setting)
    CROSS JOIN LATERAL (VALUES (s.setting::integer)) AS b (block_size)
    WHERE c.oid = to_regclass(:'partition'::text)
),

fixed AS (
    SELECT
        x.relname,
        pg_relation_size(x.oid) / h.block_size AS pages,
        -- a leaf page has a header of 24 bytes and a special area of 16, an entry a header of 8 and a pointer of 4
        floor((h.block_size - 40) * COALESCE(o.fillfactor, 90) / 100 / (12 + w.bytes)) AS page_entries
    FROM heap AS h
    JOIN pg_index AS i ON i.indrelid = h.oid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = x.relam
    CROSS JOIN
        LATERAL (
            SELECT
                8 * ceil(sum(CASE a.attalign WHEN 'd' THEN 8 * ceil(a.attlen / 8.0) ELSE a.attlen END) / 8) AS bytes,
                min(a.attlen) AS least
            FROM pg_attribute AS a
            WHERE a.attrelid = i.indexrelid
        ) AS w
    LEFT JOIN LATERAL (
        SELECT t.option_value::integer AS fillfactor
        FROM pg_options_to_table(x.reloptions) AS t
        WHERE t.option_name = 'fillfactor'
    ) AS o ON TRUE
    WHERE
        m.amname = 'btree'
        AND i.indisvalid
        AND i.indpred IS NULL
        AND w.least > 0
        AND NOT EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = h.oid AND a.attnum = ANY(i.indkey::smallint[]) AND NOT a.attnotnull
        )
    ORDER BY i.indisprimary DESC, x.relname
    LIMIT 1
),

stored AS MATERIALIZED (
    SELECT count(*) AS sites FROM sites
),

measured AS (
    SELECT
        h.bytes,
        h.oid,
        round(h.page_rows * h.pages)::bigint AS rows,
        COALESCE(
            :'site_pages'::bigint / NULLIF(:'pages'::bigint, 0)::float8 * h.pages
            / NULLIF(h.pages + LEAST(s.sites, h.page_rows * h.pages), 0), 0
        ) AS spread,
        f.relname AS index_name,
        f.pages AS index_pages,
        -- and the meta page
        1 + ceil(h.page_rows * h.pages / f.page_entries) AS dense_pages,
        GREATEST(
            :'unfrozen_rows'::bigint / NULLIF(:'rows'::bigint, 0)::float8,
            1 - h.visible_pages / NULLIF(h.pages, 0)::float8,
            h.dead_rows / NULLIF(h.page_rows * h.pages, 0),
            0
        ) AS unvacuumed
    FROM heap AS h
    CROSS JOIN stored AS s
    LEFT JOIN fixed AS f ON TRUE
)

SELECT
    m.rows,
    m.bytes AS heap_bytes,
    pg_size_pretty(pg_total_relation_size(m.oid)) AS size,
    m.spread,
    m.index_name::text AS index_name,
    m.index_pages / m.dense_pages AS index_growth,
    m.unvacuumed,
    m.spread > 2 AS cluster,
    COALESCE(m.index_pages > 1.2 * m.dense_pages + 2, FALSE) OR EXISTS (
        SELECT FROM pg_index AS i
        JOIN pg_class AS x ON x.oid = i.indexrelid
        WHERE i.indrelid = m.oid AND NOT i.indisvalid AND x.relname ~ '_cc(new|old)\d*$'
    ) AS reindex,
    m.unvacuumed >= 0.01 AS vacuum
FROM measured AS m;
