-- Create the view of the forecasts to archive, of some sites. The array makes the planner use the index of the key.
--
-- Parameters: none
-- Result: none
-- Index: none (no row is read)
-- Touches: none
-- After: prune/sites_staging
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
FROM forecasts AS f
WHERE f.site_uuid = ANY(ARRAY(SELECT s.site_uuid FROM pg_temp.pruned_sites AS s));
