-- Delete a batch of the forecasts in a window, starting at a site. See prune/delete_generation.
--
-- Parameters:
--   from_site   uuid         the first site
--   start_utc   timestamptz  first timestamp; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
--   batch_rows  integer      most rows to delete, plus others of the last site and timestamp
-- Result: row
--   site_uuid  uuid  site of each deleted forecast
-- Index: forecasts_key
-- Touches: 2 * result
WITH batch AS MATERIALIZED (
    SELECT
        f.site_uuid,
        f.timestamp_utc
    FROM forecasts AS f
    WHERE
        f.site_uuid >= :'from_site'::uuid
        AND f.timestamp_utc >= :'start_utc'::timestamptz
        AND f.timestamp_utc < :'end_utc'::timestamptz
    ORDER BY f.site_uuid, f.timestamp_utc
    LIMIT :'batch_rows'::integer
    FOR UPDATE
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
    f.site_uuid >= :'from_site'::uuid
    AND f.site_uuid <= (SELECT l.site_uuid FROM final AS l)
    AND (f.site_uuid, f.timestamp_utc)
    <= ((SELECT l.site_uuid FROM final AS l), (SELECT l.timestamp_utc FROM final AS l))
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz
RETURNING f.site_uuid;
