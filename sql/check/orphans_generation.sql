-- The sites that do not exist any more of the readings of a partition. Goes from site to site in the index, so that its cost
-- is a few pages for each site, however many readings it has.
--
-- Parameters:
--   start_utc  timestamptz  where the partition begins
--   end_utc    timestamptz  where it ends, this instant not included
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
