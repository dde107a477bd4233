-- Create the view of the forecasts to archive. For a detached partition, prune/detach_statements returns the
-- statement.
--
-- Parameters: none
-- Result: none
-- Index: none (no row is read)
-- Touches: none
CREATE OR REPLACE TEMPORARY VIEW forecasts_pruned AS
SELECT
    f.forecast_uuid,
    f.site_uuid,
    f.timestamp_utc,
    f.ml_model_uuid,
    f.forecast_version,
    f.created_utc,
    f.start_utc,
    f.resolution_minutes,
    f.power_kw,
    f.probabilistic_levels,
    f.probabilistic_kw
FROM forecasts AS f;
