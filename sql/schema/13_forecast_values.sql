-- The values of the forecasts, a row each, for people and dashboards.
CREATE OR REPLACE VIEW forecast_values WITH (security_invoker = TRUE) AS
SELECT
    f.forecast_uuid,
    f.site_uuid,
    v.start_utc,
    v.start_utc + make_interval(mins => f.resolution_minutes) AS end_utc,
    v.forecast_power_kw,
    floor(date_part('epoch', v.start_utc - f.timestamp_utc) / 60)::integer AS horizon_minutes,
    CASE
        WHEN f.probabilistic_levels IS NOT NULL THEN (
            SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][v.slot])
            FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
            WHERE f.probabilistic_kw[l.n][v.slot] IS NOT NULL
        )
    END AS probabilistic_values,
    f.ml_model_uuid,
    f.created_utc
FROM forecasts AS f
CROSS JOIN LATERAL (
    SELECT
        u.slot,
        f.start_utc + make_interval(mins => f.resolution_minutes * (u.slot - 1)::integer) AS start_utc,
        u.power_kw AS forecast_power_kw
    FROM unnest(f.power_kw) WITH ORDINALITY AS u (power_kw, slot)
    WHERE u.power_kw IS NOT NULL
) AS v;
COMMENT ON VIEW forecast_values IS 'The values of all forecasts, a row each; slots without a value are left out';
COMMENT ON COLUMN forecast_values.horizon_minutes IS
'How far ahead of the forecast''s timestamp_utc the value begins, in whole minutes, rounded down';
COMMENT ON COLUMN forecast_values.probabilistic_values IS
'The probabilistic values of the slot by name, such as {"p10": 1.2, "p90": 3.4}; NULL where there are none';
