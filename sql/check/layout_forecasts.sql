-- Sample the pages of a partition of forecasts. See check/layout_generation.
--
-- Parameters:
--   partition  text         the partition with the schema, quoted where necessary
--   start_utc  timestamptz  its lower bound; -infinity: none
--   end_utc    timestamptz  its upper bound, exclusive
-- Result: row
--   pages          bigint  sampled pages with rows
--   rows           bigint  rows on them
--   site_pages     bigint  sites on each page, summed up
--   unfrozen_rows  bigint  rows that may not be frozen
-- Index: none (random pages)
-- Touches: forecasts
SELECT
    count(*) AS pages,
    COALESCE(sum(p.rows), 0)::bigint AS rows,
    COALESCE(sum(p.sites), 0)::bigint AS site_pages,
    COALESCE(sum(p.unfrozen_rows), 0)::bigint AS unfrozen_rows
FROM (
    SELECT
        count(*) AS rows,
        count(DISTINCT f.site_uuid) AS sites,
        count(*) FILTER (WHERE age(f.xmin) >= 0 AND age(f.xmin) <= age(c.relfrozenxid)) AS unfrozen_rows
    FROM forecasts AS f TABLESAMPLE SYSTEM (
        LEAST(100, 100.0 * 200 * current_setting('block_size')::integer / GREATEST(pg_relation_size(:'partition'::text::regclass), 1))
    )
    JOIN pg_class AS c ON c.oid = f.tableoid
    WHERE f.timestamp_utc >= :'start_utc'::timestamptz AND f.timestamp_utc < :'end_utc'::timestamptz
    GROUP BY (f.ctid::text::point)[0]
) AS p;
