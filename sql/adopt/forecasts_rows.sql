-- What is to become of each of them: the columns of `forecasts`, and why it is not taken over.
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
    source_values integer NOT NULL,    -- how many values it has in the source
    source_power_kw numeric NOT NULL,  -- and their sum
    reason text                        -- why it is not taken over
) ON COMMIT DELETE ROWS;
