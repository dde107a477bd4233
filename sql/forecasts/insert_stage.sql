-- Copy forecasts into the staging table. Each key must occur once.
--
-- Parameters: none
-- Result: none
-- Index: none (the table has no index)
-- Touches: none
-- After: forecasts/insert_staging
COPY pg_temp.forecasts_staging (
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
) FROM STDIN WITH (FORMAT binary);
