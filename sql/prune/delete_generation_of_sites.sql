-- Delete a batch of the readings of the given sites in a window. See prune/delete_generation. The batch is filled site by
-- site, in the order of the list: one index scan for each site, which ends as soon as the batch is full. The next batch
-- starts with the last site of the batch before.
--
-- Parameters:
--   site_uuids  uuid[]       the sites, in ascending order
--   start_utc   timestamptz  first start; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
--   batch_rows  integer      most rows to delete
-- Result: row
--   site_uuid  uuid  site of each deleted reading
-- Index: generation_pkey
-- Touches: 3 * result (and other readings of the last site)
WITH chosen AS (
    SELECT u.site_uuid
    FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
),

batch AS MATERIALIZED (
    SELECT
        g.site_uuid,
        g.start_utc
    FROM chosen AS s
    CROSS JOIN
        LATERAL (
            SELECT
                r.site_uuid,
                r.start_utc
            FROM generation AS r
            WHERE
                r.site_uuid = s.site_uuid
                AND r.start_utc >= :'start_utc'::timestamptz
                AND r.start_utc < :'end_utc'::timestamptz
            ORDER BY r.start_utc
            LIMIT :'batch_rows'::integer
            FOR UPDATE
        ) AS g
    LIMIT :'batch_rows'::integer
),

final AS MATERIALIZED (
    SELECT
        b.site_uuid,
        b.start_utc
    FROM batch AS b
    ORDER BY b.site_uuid DESC, b.start_utc DESC
    LIMIT 1
)

DELETE FROM generation AS g
WHERE
    g.site_uuid = ANY(ARRAY(SELECT DISTINCT b.site_uuid FROM batch AS b))
    AND (g.site_uuid, g.start_utc) <= ((SELECT l.site_uuid FROM final AS l), (SELECT l.start_utc FROM final AS l))
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
RETURNING g.site_uuid;
