-- Return a forecast with all its values. Looks into all partitions; get_with_timestamp.sql looks into one.
--
-- Parameters:
--   forecast_uuid  uuid  the forecast
-- Result: Forecast
--   forecast_uuid         uuid
--   site_uuid             uuid
--   timestamp_utc         timestamptz
--   ml_model_uuid         uuid
--   forecast_version      text
--   created_utc           timestamptz
--   start_utc             timestamptz
--   resolution_minutes    integer
--   power_kw              real[]
--   probabilistic_levels  text[]
--   probabilistic_kw      real[]
--   end_utc               timestamptz
-- Index: forecasts_pkey
-- Touches: 1
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
    f.probabilistic_kw,
    f.end_utc
FROM forecasts AS f
WHERE f.forecast_uuid = :'forecast_uuid'::uuid;
