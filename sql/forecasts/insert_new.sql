-- Insert the staged forecasts whose key is not stored. Rows are inserted in key order, so that concurrent writers do
-- not deadlock. The anti-join skips stored keys. ON CONFLICT skips keys that a concurrent transaction stores.
--
-- Parameters:
--   start_utc  timestamptz  the first staged timestamp, for partition pruning
--   end_utc    timestamptz  the last staged timestamp, inclusive
-- Result: none
-- Index: forecasts_key
-- Touches: forecasts_staging + siblings * forecasts_staging
-- After: forecasts/insert_staging
INSERT INTO forecasts (
    site_uuid,
    timestamp_utc,
    ml_model_uuid,
    forecast_version,
    created_utc,
    start_utc,
    resolution_minutes,
    power_kw,
    probabilistic_levels,
    probabilistic_kw
)
SELECT
    n.site_uuid,
    n.timestamp_utc,
    n.ml_model_uuid,
    n.forecast_version,
    COALESCE(n.created_utc, now()),
    n.start_utc,
    n.resolution_minutes,
    n.power_kw,
    n.probabilistic_levels,
    n.probabilistic_kw
FROM pg_temp.forecasts_staging AS n
WHERE
    NOT EXISTS (
        SELECT
        FROM forecasts AS f
        WHERE
            f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND f.forecast_version = n.forecast_version
            AND f.timestamp_utc >= :'start_utc'::timestamptz
            AND f.timestamp_utc <= :'end_utc'::timestamptz
        OFFSET 0  -- forces an index lookup per key: a join would read whole partitions for a few staged rows
    )
ORDER BY n.site_uuid, n.timestamp_utc, n.ml_model_uuid NULLS FIRST, n.forecast_version COLLATE "C"  -- noqa: RF03
ON CONFLICT (site_uuid, timestamp_utc, ml_model_uuid, forecast_version) DO NOTHING;
