-- Copy the forecasts of a range into the staging table.
--
-- Parameters: none
-- Result: none
-- Index: none (a COPY)
-- Touches: none
-- After: adopt/forecasts_staging
COPY pg_temp.adopt_forecasts (
    forecast_uuid,
    site_uuid,
    timestamp_utc,
    forecast_version,
    created_utc,
    ml_model_uuids,
    starts_utc,
    ends_utc,
    power_kw,
    probabilistic_values
) FROM STDIN WITH (FORMAT binary);
