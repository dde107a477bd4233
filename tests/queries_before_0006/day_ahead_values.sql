-- Return for each site and start in a time window the value of the newest forecast that was created before a given hour
-- on the day before, ordered by site and start. Day and hour are local times in a time zone.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
--   hour        integer      0 to 24, in local time
--   timezone    text         an IANA time zone, such as Europe/London
--   model_name  text         use only forecasts of this model, in any version; empty for all
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
    -- raises an error for an unknown time zone, even if there is no forecast
    timestamptz '2000-01-01 00:00+00' AT TIME ZONE :'timezone'::text IS NOT NULL
ORDER BY v.site_uuid, v.start_utc;
