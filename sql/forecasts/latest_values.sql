-- For each site and each target start in a window the value of the newest forecast (by timestamp_utc, then
-- created_utc, then forecast_uuid) that has one there; by site and start. An older forecast still supplies what newer
-- ones leave out. The function latest_forecast_values does it: see sql/schema.
--
-- Parameters:
--   site_uuids           uuid[]       the sites
--   start_utc            timestamptz  values that start here or later; -infinity: from the first
--   end_utc              timestamptz  values that start before this; infinity: up to the last
--   created_before       timestamptz  only forecasts created before this: what was known then; infinity: all
--   min_horizon_minutes  text         only values made at least so long ahead; empty: any
--   model_name           text         only forecasts of the model's versions; empty: any
--   probabilistic        boolean      whether to read the probabilistic values too, else NULL
-- Result: ForecastValue by site_uuid
--   site_uuid             uuid
--   start_utc             timestamptz
--   end_utc               timestamptz
--   forecast_power_kw     real
--   horizon_minutes       integer
--   timestamp_utc         timestamptz
--   created_utc           timestamptz
--   forecast_uuid         uuid
--   probabilistic_values  jsonb
-- Index: forecasts_latest_idx, forecasts_key, forecasts_forecast_uuid_idx, ml_models_name_version_key
-- Touches: unfinished_forecasts + siblings * unfinished_forecasts + versions
SELECT
    v.site_uuid,
    v.start_utc,
    v.end_utc,
    v.forecast_power_kw,
    v.horizon_minutes,
    v.timestamp_utc,
    v.created_utc,
    v.forecast_uuid,
    CASE WHEN :'probabilistic'::boolean THEN v.probabilistic_values END AS probabilistic_values
FROM
    latest_forecast_values(
        :'site_uuids'::uuid[],
        :'start_utc'::timestamptz,
        :'end_utc'::timestamptz,
        :'created_before'::timestamptz,
        NULLIF(:'min_horizon_minutes', '')::integer,
        NULLIF(:'model_name', '')
    ) AS v
ORDER BY v.site_uuid, v.start_utc;
