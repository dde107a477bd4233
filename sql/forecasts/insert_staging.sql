-- Where forecasts wait whose keys may be stored already. Made once a session and emptied at the end of each
-- transaction, so that it works behind a pooler that lends the server for one transaction. A created_utc that is NULL
-- was not given.
--
-- Parameters: none
-- Result: none
-- Index: none (makes a table)
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
