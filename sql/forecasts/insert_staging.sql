-- Create the staging table for forecasts whose keys may already be stored. It is created once per session and emptied
-- at the end of each transaction. So it works with a connection pooler that assigns a server to each transaction.
-- created_utc is NULL if it was not given.
--
-- Parameters: none
-- Result: none
-- Index: none (creates a table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS forecasts_staging (
    site_uuid uuid NOT NULL,
    timestamp_utc timestamptz NOT NULL,
    ml_model_uuid uuid,
    forecast_version text NOT NULL,
    created_utc timestamptz,
    start_utc timestamptz NOT NULL,
    resolution_minutes integer NOT NULL,
    power_kw real[] NOT NULL,
    probabilistic_levels text[],
    probabilistic_kw real[]
) ON COMMIT DELETE ROWS;
