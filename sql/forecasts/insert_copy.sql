-- Copy new forecasts into the table.
--
-- Parameters: none
-- Result: none
-- Index: forecasts_key
-- Touches: none
COPY forecasts (
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
