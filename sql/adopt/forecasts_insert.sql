-- Insert the forecasts whose key is not stored yet, in key order, as forecasts/insert_new does. A forecast that is stored
-- under another key, because its model or version changed in the source since, is a conflict and stays as it is.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp, for partition pruning
--   end_utc    timestamptz  last timestamp, inclusive
-- Result: none
-- Index: forecasts_key, forecasts_pkey
-- Touches: adopt_forecast_rows + 2 * forecasts (those in the months of the range)
-- After: adopt/forecasts_rows
INSERT INTO forecasts (
    forecast_uuid,
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
    n.forecast_uuid,
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
FROM pg_temp.adopt_forecast_rows AS n
WHERE
    n.reason IS NULL
    AND NOT EXISTS (
        SELECT
        FROM forecasts AS f
        WHERE
            f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND f.forecast_version = n.forecast_version
            AND f.timestamp_utc >= :'start_utc'::timestamptz
            AND f.timestamp_utc <= :'end_utc'::timestamptz
    )
    AND NOT EXISTS (
        SELECT
        FROM forecasts AS f
        WHERE
            f.forecast_uuid = n.forecast_uuid
            AND f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.timestamp_utc >= :'start_utc'::timestamptz
            AND f.timestamp_utc <= :'end_utc'::timestamptz
    )
ORDER BY n.site_uuid, n.timestamp_utc, n.ml_model_uuid NULLS FIRST, n.forecast_version COLLATE "C"  -- noqa: RF03
ON CONFLICT (site_uuid, timestamp_utc, ml_model_uuid, forecast_version) DO NOTHING;
