-- The latest values (see latest_values) of some sites, summed for each start in total or by DNO or by GSP; by start
-- and name. A site without a DNO (or GSP) counts under the name NULL.
--
-- Parameters:
--   by                   text         total, dno or gsp
--   site_uuids           uuid[]       the sites
--   start_utc            timestamptz  values that start here or later; -infinity: from the first
--   end_utc              timestamptz  values that start before this; infinity: up to the last
--   created_before       timestamptz  only forecasts created before this: what was known then; infinity: all
--   min_horizon_minutes  text         only values made at least so long ahead; empty: any
--   model_name           text         only forecasts of the model's versions; empty: any
-- Result: ForecastValueSum
--   start_utc  timestamptz
--   power_kw   real
--   name       text
-- Index: forecasts_latest_idx, forecasts_key, forecasts_forecast_uuid_idx, ml_models_name_version_key
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
