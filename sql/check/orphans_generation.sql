-- List the nonexistent sites that have readings in a partition. It skips from site to site in the index, so it reads
-- a few pages for each site, however many readings the site has.
--
-- Parameters:
--   start_utc  timestamptz  lower bound of the partition
--   end_utc    timestamptz  upper bound of the partition, exclusive
-- Result: row
--   site_uuid  uuid
-- Index: generation_pkey
-- Touches: 1 + 2 * sites + result
WITH RECURSIVE seen AS (
    (
        SELECT g.site_uuid
        FROM generation AS g
        WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz
        ORDER BY g.site_uuid
        LIMIT 1
    )
    UNION ALL
    SELECT l.site_uuid
    FROM seen AS s
    CROSS JOIN LATERAL (
        SELECT g.site_uuid
        FROM generation AS g
        WHERE g.start_utc >= :'start_utc'::timestamptz AND g.start_utc < :'end_utc'::timestamptz AND g.site_uuid > s.site_uuid
        ORDER BY g.site_uuid
        LIMIT 1
    ) AS l
)

SELECT s.site_uuid
FROM seen AS s
WHERE
    NOT EXISTS (
        SELECT FROM sites AS x
        WHERE x.site_uuid = s.site_uuid
    )
ORDER BY s.site_uuid;
