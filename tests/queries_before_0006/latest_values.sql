-- Return for each site and start in a time window the value of the newest forecast that has one, ordered by site and
-- start. The newest forecast is the one with the latest timestamp_utc, then the latest created_utc, then the greatest
-- forecast_uuid. Older forecasts supply the values that newer ones lack. The function latest_forecast_values in
-- sql/schema does the work.
--
-- Parameters:
--   site_uuids           uuid[]       the sites
--   start_utc            timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc              timestamptz  end of the window, exclusive; infinity for no limit
--   created_before       timestamptz  use only forecasts created before this time; infinity for all
--   min_horizon_minutes  text         use only values with at least this horizon; empty for all
--   model_name           text         use only forecasts of this model, in any version; empty for all
--   probabilistic        boolean      whether to return the probabilistic values; otherwise they are NULL
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
-- Index: forecasts_latest_idx, forecasts_key, forecasts_pkey, ml_models_name_version_key
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
