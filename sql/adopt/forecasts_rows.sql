-- Create the table for prepared forecasts: the columns of `forecasts`, and the reason why a forecast is rejected.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_forecast_rows (
    forecast_uuid uuid NOT NULL,
    site_uuid uuid,
    timestamp_utc timestamptz,
    ml_model_uuid uuid,
    forecast_version text,
    created_utc timestamptz,
    start_utc timestamptz,
    resolution_minutes integer,
    power_kw real[],
    probabilistic_levels text[],
    probabilistic_kw real[],
    source_values integer NOT NULL,    -- number of values in the source
    source_power_kw numeric NOT NULL,  -- their sum
    reason text                        -- why it is rejected
) ON COMMIT DELETE ROWS;
