-- What was known the day before: for each site and each target start in a window the value of the newest forecast
-- that was created before a given hour of the day before the target day, both in a local time zone; by site and
-- start.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  values that start here or later; -infinity: from the first
--   end_utc     timestamptz  values that start before this; infinity: up to the last
--   hour        integer      0 to 24, by the local clock
--   timezone    text         of the IANA, such as Europe/London
--   model_name  text         only forecasts of the model's versions; empty: any
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
    v.probabilistic_values
FROM
    latest_forecast_values(
        :'site_uuids'::uuid[],
        :'start_utc'::timestamptz,
        :'end_utc'::timestamptz,
        'infinity',
        NULL,
        NULLIF(:'model_name', ''),
        :'hour'::integer,
        :'timezone'::text
    ) AS v
WHERE
    -- looked at where there is no forecast too: a zone that there is not is always an error
    timestamptz '2000-01-01 00:00+00' AT TIME ZONE :'timezone'::text IS NOT NULL
ORDER BY v.site_uuid, v.start_utc;
