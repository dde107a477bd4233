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
--   probabilistic_values  jsonb
-- Index: forecasts_pkey
-- Touches: 1
SELECT
    f.start_utc + make_interval(mins => f.resolution_minutes * (u.slot - 1)::integer) AS start_utc,
    f.start_utc + make_interval(mins => f.resolution_minutes * u.slot::integer) AS end_utc,
    u.power_kw AS forecast_power_kw,
    floor(date_part('epoch', f.start_utc - f.timestamp_utc) / 60)::integer + f.resolution_minutes * (u.slot - 1)::integer
        AS horizon_minutes,
    f.timestamp_utc,
    f.created_utc,
    f.forecast_uuid,
    CASE
        WHEN f.probabilistic_levels IS NOT NULL THEN (
            SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][u.slot])
            FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
            WHERE f.probabilistic_kw[l.n][u.slot] IS NOT NULL
        )
    END AS probabilistic_values
FROM forecasts AS f
CROSS JOIN LATERAL unnest(f.power_kw) WITH ORDINALITY AS u (power_kw, slot)
WHERE
    f.forecast_uuid = :'forecast_uuid'::uuid
    AND u.power_kw IS NOT NULL
ORDER BY start_utc;
