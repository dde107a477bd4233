-- Sample the pages of a partition of generation: about 200 of them at random, or all if there are fewer. The sample tells
-- on how many pages a site's readings are, and whether VACUUM has frozen them. It needs no statistics and no right on
-- the partition. A row is frozen for certain if its xmin is older than relfrozenxid. (A frozen row keeps its xmin, so
-- one that is older than two billion transactions has a negative age.)
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
-- Touches: month_readings
SELECT
    count(*) AS pages,
    COALESCE(sum(p.rows), 0)::bigint AS rows,
    COALESCE(sum(p.sites), 0)::bigint AS site_pages,
    COALESCE(sum(p.unfrozen_rows), 0)::bigint AS unfrozen_rows
FROM (
    SELECT
        count(*) AS rows,
        count(DISTINCT g.site_uuid) AS sites,
        count(*) FILTER (WHERE age(g.xmin) >= 0 AND age(g.xmin) <= age(c.relfrozenxid)) AS unfrozen_rows
    FROM generation AS g TABLESAMPLE SYSTEM (
        LEAST(100, 100.0 * 200 * current_setting('block_size')::integer / GREATEST(pg_relation_size(:'partition'::text::regclass), 1))
    )
    JOIN pg_class AS c ON c.oid = g.tableoid
    WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz
    GROUP BY (g.ctid::text::point)[0]
) AS p;
