-- Deletes the first forecasts of a window, from a site on; see prune/delete_generation.
--
-- Parameters:
--   from_site   uuid         the site to begin with
--   start_utc   timestamptz  forecasts with this timestamp or a later one; -infinity: from the first one on
--   end_utc     timestamptz  forecasts with a timestamp before this
--   batch_rows  integer      so many, and those of the same site and timestamp as the last one
-- Result: row
--   site_uuid  uuid  of each forecast that is gone
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
