-- Delete a batch of the forecasts of the given sites in a window. See prune/delete_generation_of_sites.
--
-- Parameters:
--   site_uuids  uuid[]       the sites, in ascending order
--   start_utc   timestamptz  first timestamp; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
--   batch_rows  integer      most rows to delete, plus others of the last site and timestamp
-- Result: row
--   site_uuid  uuid  site of each deleted forecast
-- Index: forecasts_key
-- Touches: 2 * result
WITH chosen AS (
    SELECT u.site_uuid
    FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
),

batch AS MATERIALIZED (
    SELECT
        f.site_uuid,
        f.timestamp_utc
    FROM chosen AS s
    CROSS JOIN
        LATERAL (
            SELECT
                r.site_uuid,
                r.timestamp_utc
            FROM forecasts AS r
            WHERE
                r.site_uuid = s.site_uuid
                AND r.timestamp_utc >= :'start_utc'::timestamptz
                AND r.timestamp_utc < :'end_utc'::timestamptz
            ORDER BY r.timestamp_utc
            LIMIT :'batch_rows'::integer
            FOR UPDATE
        ) AS f
    LIMIT :'batch_rows'::integer
),

final AS MATERIALIZED (
    SELECT
        b.site_uuid,
        b.timestamp_utc
    FROM batch AS b
    ORDER BY b.site_uuid DESC, b.timestamp_utc DESC
    LIMIT 1
)

DELETE FROM forecasts AS f
WHERE
    f.site_uuid = ANY(ARRAY(SELECT DISTINCT b.site_uuid FROM batch AS b))
    AND (f.site_uuid, f.timestamp_utc) <= ((SELECT l.site_uuid FROM final AS l), (SELECT l.timestamp_utc FROM final AS l))
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz
RETURNING f.site_uuid;
