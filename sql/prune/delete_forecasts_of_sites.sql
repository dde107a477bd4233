-- Delete a batch of the forecasts of the given sites in a window. See prune/delete_generation_of_sites.
--
-- Parameters:
--   site_uuids  uuid[]       the sites, in ascending order
--   start_utc   timestamptz  first timestamp; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
--   batch_rows  integer      most rows to delete
-- Result: row
--   site_uuid  uuid  site of each deleted forecast
-- Index: forecasts_key, forecasts_pkey
-- Touches: 3 * result (and other forecasts of the last site)
WITH chosen AS (
    SELECT u.site_uuid
    FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
),

batch AS MATERIALIZED (
    SELECT f.forecast_uuid
    FROM chosen AS s
    CROSS JOIN
        LATERAL (
            SELECT r.forecast_uuid
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
)

DELETE FROM forecasts AS f
WHERE
    f.forecast_uuid = ANY(ARRAY(SELECT b.forecast_uuid FROM batch AS b))
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz
RETURNING f.site_uuid;
