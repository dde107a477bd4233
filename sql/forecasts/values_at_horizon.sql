-- For each site and each target start in a window the value that was made exactly so long ahead; of several such
-- forecasts that of the newest (by created_utc, then forecast_uuid) that has one; by site and start.
--
-- Parameters:
--   site_uuids       uuid[]       the sites
--   start_utc        timestamptz  values that start here or later; -infinity: from the first
--   end_utc          timestamptz  values that start before this; infinity: up to the last
--   horizon_minutes  integer      from the forecast's timestamp to the target start
--   model_name       text         only forecasts of the model's versions; empty: any
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
-- Index: forecasts_key, ml_models_name_version_key
-- Touches: window_forecasts + versions
SELECT DISTINCT ON (f.site_uuid, f.timestamp_utc)
    f.site_uuid,
    v.start_utc,
    v.start_utc + make_interval(mins => f.resolution_minutes) AS end_utc,
    f.power_kw[v.slot] AS forecast_power_kw,
    :'horizon_minutes'::integer AS horizon_minutes,
    f.timestamp_utc,
    f.created_utc,
    f.forecast_uuid,
    CASE
        WHEN f.probabilistic_levels IS NOT NULL THEN (
            SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][v.slot])
            FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
            WHERE f.probabilistic_kw[l.n][v.slot] IS NOT NULL
        )
    END AS probabilistic_values
FROM forecasts AS f
CROSS JOIN
    LATERAL (
        SELECT
            t.start_utc,
            (date_part('epoch', t.start_utc - f.start_utc) / (60 * f.resolution_minutes))::integer + 1 AS slot
        FROM (SELECT f.timestamp_utc + make_interval(mins => :'horizon_minutes'::integer) AS start_utc) AS t
        WHERE t.start_utc >= f.start_utc AND t.start_utc < f.end_utc
    ) AS v
WHERE
    f.site_uuid = ANY(:'site_uuids'::uuid[])
    AND f.timestamp_utc >= :'start_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer)
    AND f.timestamp_utc < :'end_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer)
    AND f.start_utc + make_interval(mins => f.resolution_minutes * (v.slot - 1)) = v.start_utc
    AND f.power_kw[v.slot] IS NOT NULL
    AND (
        NULLIF(:'model_name', '') IS NULL
        OR f.ml_model_uuid = ANY(ARRAY(
            SELECT m.ml_model_uuid FROM ml_models AS m
            WHERE m.name = NULLIF(:'model_name', '')
        ))
    )
ORDER BY f.site_uuid, f.timestamp_utc, f.created_utc DESC, f.forecast_uuid DESC;
