-- Return for each site and start in a time window the value of the newest forecast that was created before a given time
-- on the day before: as pieces of forecasts (see latest_values). Day and time are local times in a time zone.
--
-- Parameters:
--   site_uuids      uuid[]       the sites
--   start_utc       timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc         timestamptz  end of the window, exclusive; infinity for no limit
--   created_after   timestamptz  use only forecasts created at or after this time; -infinity for all
--   created_before  timestamptz  use only forecasts created before this time; infinity for all
--   hour            integer      0 to 24, in local time
--   minute          integer      0 to 59
--   timezone        text         an IANA time zone, such as Europe/London, or a POSIX one, such as <+05:30>-05:30
--   model_name      text         use only forecasts of this model; empty for all
--   model_versions  text[]       use only these versions of the model; empty for all
--   of_site_model   boolean      whether to use only forecasts of the model in sites.ml_model_uuid, where a site has one
--   probabilistic   boolean      whether to return the probabilistic values; otherwise they are NULL
-- Result: row
--   site_uuid             uuid
--   start_utc             timestamptz
--   resolution_minutes    integer
--   horizon_minutes       integer
--   timestamp_utc         timestamptz
--   created_utc           timestamptz
--   forecast_uuid         uuid
--   forecast_version      text
--   model_name            text
--   model_version         text
--   power_kw              real[]
--   probabilistic_levels  text[]
--   probabilistic_kw      real[]
-- Index: forecasts_latest_idx, forecasts_key, ml_models_name_version_key, sites_pkey
-- Touches: 3 * unfinished_forecasts + siblings * unfinished_forecasts + versions + ml_models
SELECT
    p.site_uuid,
    p.start_utc,
    p.resolution_minutes,
    p.horizon_minutes,
    p.timestamp_utc,
    p.created_utc,
    p.forecast_uuid,
    p.forecast_version,
    m.name AS model_name,
    m.version AS model_version,
    p.power_kw,
    CASE WHEN :'probabilistic'::boolean THEN p.probabilistic_levels END AS probabilistic_levels,
    CASE WHEN :'probabilistic'::boolean THEN p.probabilistic_kw END AS probabilistic_kw
FROM
    latest_forecast_pieces(
        :'site_uuids'::uuid[],
        :'start_utc'::timestamptz,
        :'end_utc'::timestamptz,
        :'created_after'::timestamptz,
        :'created_before'::timestamptz,
        NULL,
        NULL,
        NULLIF(:'model_name', ''),
        :'model_versions'::text[],
        :'of_site_model'::boolean,
        :'hour'::integer,
        :'minute'::integer,
        :'timezone'::text
    ) AS p
LEFT JOIN ml_models AS m ON m.ml_model_uuid = p.ml_model_uuid
WHERE
    -- raises an error for an unknown time zone, even if there is no forecast
    timestamptz '2000-01-01 00:00+00' AT TIME ZONE :'timezone'::text IS NOT NULL;
