-- Delete forecasts that are still equal to the archived ones. A forecast that was replaced in the meantime is kept.
-- The forecasts are looked up and locked one by one, in the order of the archive. IS TRUE: see
-- prune/delete_archived_generation.
--
-- Parameters:
--   forecast_uuids  uuid[]       the archived forecasts
--   digests         text[]       their digests from prune/archive_forecasts
--   start_utc       timestamptz  the window of the archive, for partition pruning
--   end_utc         timestamptz
-- Result: row
--   site_uuid  uuid  site of each deleted forecast
-- Index: forecasts_pkey
-- Touches: 2 * forecast_uuids
WITH archived AS (
    SELECT
        a.forecast_uuid,
        a.digest
    FROM unnest(:'forecast_uuids'::uuid[], :'digests'::text[]) AS a (forecast_uuid, digest)
),

batch AS MATERIALIZED (
    SELECT
        f.site_uuid,
        f.timestamp_utc,
        f.forecast_uuid
    FROM archived AS a
    CROSS JOIN LATERAL (
        SELECT
            r.site_uuid,
            r.timestamp_utc,
            r.forecast_uuid
        FROM forecasts AS r
        WHERE
            r.forecast_uuid = a.forecast_uuid
            AND r.timestamp_utc >= :'start_utc'::timestamptz
            AND r.timestamp_utc < :'end_utc'::timestamptz
            AND encode(sha256(record_send(row(
                r.created_utc, r.start_utc, r.resolution_minutes, r.power_kw, r.probabilistic_levels, r.probabilistic_kw
            ))), 'hex') = a.digest
        FOR UPDATE
    ) AS f
)

DELETE FROM forecasts AS f
WHERE
    f.forecast_uuid = ANY(ARRAY(SELECT b.forecast_uuid FROM batch AS b))
    AND ((f.forecast_uuid, f.site_uuid, f.timestamp_utc) IN (
        SELECT
            b.forecast_uuid,
            b.site_uuid,
            b.timestamp_utc
        FROM batch AS b
    )) IS TRUE
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz
RETURNING f.site_uuid;
