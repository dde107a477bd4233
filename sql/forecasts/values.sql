-- Return the values of a forecast, ordered by start. Slots without a value are left out.
--
-- Parameters:
--   forecast_uuid  uuid  the forecast
-- Result: ForecastValue
--   start_utc             timestamptz
--   end_utc               timestamptz
--   forecast_power_kw     real
--   horizon_minutes       integer
--   timestamp_utc         timestamptz
--   created_utc           timestamptz
--   forecast_uuid         uuid
--   probabilistic_values  jsonb
-- Index: forecasts_pkey
-- Touches: 2
SELECT
    v.start_utc,
    v.end_utc,
    v.forecast_power_kw,
    v.horizon_minutes,
    f.timestamp_utc,
    f.created_utc,
    f.forecast_uuid,
    v.probabilistic_values
FROM forecast_values AS v
JOIN forecasts AS f ON f.forecast_uuid = v.forecast_uuid
WHERE f.forecast_uuid = :'forecast_uuid'::uuid
ORDER BY v.start_utc;
