-- List the values of the forecasts of a range that are not stored exactly as in the source.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp, for partition pruning
--   end_utc    timestamptz  last timestamp, inclusive
-- Result: row
--   outcome               text
--   reason                text
--   forecast_uuid         uuid
--   site_uuid             uuid
--   timestamp_utc         text
--   forecast_version      text
--   created_utc           text
--   ml_model_uuids        text
--   start_utc             text
--   end_utc               text
--   forecast_power_kw     double precision
--   probabilistic_values  text
--   stored_uuid           uuid
-- Index: forecasts_key
-- Touches: adopt_forecasts + adopt_forecast_rows + forecasts (those in the months of the range)
-- After: adopt/forecasts_staging, adopt/forecasts_rows
SELECT
    o.outcome,
    o.reason,
    a.forecast_uuid,
    a.site_uuid,
    a.timestamp_utc::text AS timestamp_utc,
    a.forecast_version,
    a.created_utc::text AS created_utc,
    a.ml_model_uuids::text AS ml_model_uuids,
    v.start_utc::text AS start_utc,
    v.end_utc::text AS end_utc,
    v.power_kw AS forecast_power_kw,
    v.probabilistic_values::text AS probabilistic_values,
    o.stored_uuid
FROM (
    SELECT
        CASE
            WHEN n.reason IS NOT NULL THEN 'rejected'
            WHEN
                f.forecast_uuid = n.forecast_uuid
                AND (f.created_utc = n.created_utc OR n.created_utc IS NULL)
                AND f.start_utc = n.start_utc
                AND f.resolution_minutes = n.resolution_minutes
                AND f.power_kw = n.power_kw
                AND COALESCE(f.probabilistic_levels, '{}') = COALESCE(n.probabilistic_levels, '{}')
                AND COALESCE(f.probabilistic_kw, '{}') = COALESCE(n.probabilistic_kw, '{}')
                THEN 'stored'
            ELSE 'conflict'
        END AS outcome,
        n.reason,
        n.forecast_uuid,
        f.forecast_uuid AS stored_uuid
    FROM pg_temp.adopt_forecast_rows AS n
    LEFT JOIN forecasts AS f
        ON
            f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND f.forecast_version = n.forecast_version
            AND f.timestamp_utc >= :'start_utc'::timestamptz
            AND f.timestamp_utc <= :'end_utc'::timestamptz
            AND n.reason IS NULL
) AS o
JOIN pg_temp.adopt_forecasts AS a ON a.forecast_uuid = o.forecast_uuid
LEFT JOIN
    LATERAL unnest(a.starts_utc, a.ends_utc, a.power_kw, a.probabilistic_values)
        AS v (start_utc, end_utc, power_kw, probabilistic_values)
    ON TRUE
WHERE o.outcome <> 'stored'
ORDER BY o.reason, a.timestamp_utc, a.forecast_uuid, v.start_utc;
