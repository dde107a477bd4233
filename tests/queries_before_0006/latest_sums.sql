-- Return the sums of the latest values (see latest_values) of the given sites for each start, in total or per DNO or
-- GSP, ordered by start and name. Sites without a DNO or GSP have the name NULL.
--
-- Parameters:
--   by                   text         total, dno or gsp
--   site_uuids           uuid[]       the sites
--   start_utc            timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc              timestamptz  end of the window, exclusive; infinity for no limit
--   created_before       timestamptz  use only forecasts created before this time; infinity for all
--   min_horizon_minutes  text         use only values with at least this horizon; empty for all
--   model_name           text         use only forecasts of this model, in any version; empty for all
-- Result: ForecastValueSum
--   start_utc  timestamptz
--   power_kw   real
--   name       text
-- Index: forecasts_latest_idx, forecasts_key, forecasts_pkey, ml_models_name_version_key
-- Touches: unfinished_forecasts + siblings * unfinished_forecasts + versions + sites
SELECT
    v.start_utc,
    sum(v.forecast_power_kw::double precision)::real AS power_kw,
    CASE :'by'::text WHEN 'total' THEN 'total' WHEN 'dno' THEN s.dno WHEN 'gsp' THEN s.gsp END AS name
FROM
    latest_forecast_values(
        :'site_uuids'::uuid[],
        :'start_utc'::timestamptz,
        :'end_utc'::timestamptz,
        :'created_before'::timestamptz,
        NULLIF(:'min_horizon_minutes', '')::integer,
        NULLIF(:'model_name', '')
    ) AS v
LEFT JOIN sites AS s ON s.site_uuid = v.site_uuid
GROUP BY v.start_utc, name
ORDER BY v.start_utc, name;
