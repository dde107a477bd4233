-- Return the values of a forecast, ordered by start. Slots without a value are left out. Looks into all
-- partitions; values_with_timestamp.sql looks into one.
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
--   forecast_version      text
--   model_name            text
--   model_version         text
--   probabilistic_values  jsonb
-- Index: forecasts_pkey, ml_models_pkey
-- Touches: 2
SELECT
    f.start_utc + make_interval(mins => f.resolution_minutes * (u.slot - 1)::integer) AS start_utc,
    f.start_utc + make_interval(mins => f.resolution_minutes * u.slot::integer) AS end_utc,
    u.power_kw AS forecast_power_kw,
    floor(date_part('epoch', f.start_utc - f.timestamp_utc) / 60)::integer + f.resolution_minutes * (u.slot - 1)::integer
        AS horizon_minutes,
    f.timestamp_utc,
    f.created_utc,
    f.forecast_uuid,
    f.forecast_version,
    f.model_name,
    f.model_version,
    CASE
        WHEN f.probabilistic_levels IS NOT NULL THEN (
            SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][u.slot])
            FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
            WHERE f.probabilistic_kw[l.n][u.slot] IS NOT NULL
        )
    END AS probabilistic_values
FROM (
    SELECT
        o.forecast_uuid,
        o.timestamp_utc,
        o.forecast_version,
        o.created_utc,
        o.start_utc,
        o.resolution_minutes,
        o.power_kw,
        o.probabilistic_levels,
        o.probabilistic_kw,
        m.name AS model_name,
        m.version AS model_version
    FROM forecasts AS o
    LEFT JOIN
        LATERAL (
            SELECT
                w.name,
                w.version
            FROM ml_models AS w
            WHERE w.ml_model_uuid = o.ml_model_uuid
            LIMIT 1  -- there is but one; so it is looked up, never hashed
        ) AS m
        ON TRUE
    WHERE o.forecast_uuid = :'forecast_uuid'::uuid
    OFFSET 0  -- looks the model up once
) AS f
CROSS JOIN LATERAL unnest(f.power_kw) WITH ORDINALITY AS u (power_kw, slot)
WHERE u.power_kw IS NOT NULL
ORDER BY start_utc;
