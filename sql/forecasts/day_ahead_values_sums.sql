-- Return the sums of the day-ahead values (see day_ahead_values) of the given sites for each start, in total or per DNO
-- or GSP, ordered by start and name. Sites without a DNO or GSP have the name NULL.
--
-- Parameters:
--   by              text         total, dno or gsp
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
-- Result: ForecastValueSum
--   start_utc  timestamptz
--   power_kw   real
--   name       text
-- Index: forecasts_latest_idx, forecasts_key, ml_models_name_version_key
-- Touches: 2 * unfinished_forecasts + siblings * unfinished_forecasts + versions + sites
SELECT
    v.start_utc,
    sum(v.forecast_power_kw::double precision)::real AS power_kw,
    CASE :'by'::text WHEN 'total' THEN 'total' WHEN 'dno' THEN s.dno WHEN 'gsp' THEN s.gsp END AS name
FROM
    latest_forecast_values(
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
    ) AS v
LEFT JOIN sites AS s ON s.site_uuid = v.site_uuid
WHERE
    -- raises an error for an unknown time zone, even if there is no forecast
    timestamptz '2000-01-01 00:00+00' AT TIME ZONE :'timezone'::text IS NOT NULL
GROUP BY v.start_utc, name
ORDER BY v.start_utc, name;
