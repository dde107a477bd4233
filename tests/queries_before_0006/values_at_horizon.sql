-- Return for each site and start in a time window the value with exactly the given horizon, ordered by site and start.
-- If several forecasts have one, the forecast with the latest created_utc is used, then the one with the greatest
-- forecast_uuid.
--
-- Parameters:
--   site_uuids       uuid[]       the sites
--   start_utc        timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc          timestamptz  end of the window, exclusive; infinity for no limit
--   horizon_minutes  integer      whole minutes from the forecast's timestamp to the value's start, rounded down
--   model_name       text         use only forecasts of this model, in any version; empty for all
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
SELECT DISTINCT ON (f.site_uuid, v.start_utc)
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
            d.minutes,
            f.start_utc + d.minutes * interval '1 minute' AS start_utc,
            greatest(least(d.minutes / f.resolution_minutes + 1, cardinality(f.power_kw) + 1), 0)::integer AS slot
        FROM (
            -- from the forecast's first value on; the horizon of that one is a whole number of minutes or rounded down
            SELECT
                :'horizon_minutes'::integer::bigint
                - floor(date_part('epoch', f.start_utc - f.timestamp_utc) / 60)::bigint AS minutes
        ) AS d
    ) AS v
WHERE
    f.site_uuid = ANY(:'site_uuids'::uuid[])
    AND f.timestamp_utc > :'start_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer) - interval '1 minute'
    AND f.timestamp_utc < :'end_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer)
    AND v.start_utc >= :'start_utc'::timestamptz
    AND v.start_utc < :'end_utc'::timestamptz
    AND v.minutes % f.resolution_minutes = 0
    AND f.power_kw[v.slot] IS NOT NULL
    AND (
        NULLIF(:'model_name', '') IS NULL
        OR f.ml_model_uuid = ANY(ARRAY(
            SELECT m.ml_model_uuid FROM ml_models AS m
            WHERE m.name = NULLIF(:'model_name', '')
        ))
    )
ORDER BY f.site_uuid, v.start_utc, f.created_utc DESC, f.forecast_uuid DESC;
