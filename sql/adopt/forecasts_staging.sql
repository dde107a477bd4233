-- Create the staging table for the forecasts of a range, with their values ordered by start.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_forecasts (
    forecast_uuid uuid NOT NULL,
    site_uuid uuid,
    timestamp_utc timestamptz,
    forecast_version text,
    created_utc timestamptz,
    ml_model_uuids uuid[],
    starts_utc timestamptz[],
    ends_utc timestamptz[],
    power_kw double precision[],
    probabilistic_values jsonb[]
) ON COMMIT DELETE ROWS;
