-- Run on the source: read the forecasts of a range, with their values as arrays ordered by start. A column that this
-- version does not have comes from `missing`, as in source_generation.
--
-- Parameters:
--   start_utc  timestamp without time zone  first timestamp
--   end_utc    timestamp without time zone  last timestamp, inclusive
-- Result: row
--   forecast_uuid         uuid
--   site_uuid             uuid
--   timestamp_utc         timestamptz
--   forecast_version      text
--   created_utc           timestamptz
--   ml_model_uuids        uuid[]
--   starts_utc            timestamptz[]
--   ends_utc              timestamptz[]
--   power_kw              double precision[]
--   probabilistic_values  jsonb[]
-- Index: none (the source's ix_forecast_values_forecast_uuid_horizon_minutes)
-- Touches: forecasts + 200 * result
SELECT  -- noqa: disable=ST05
    f.forecast_uuid,
    f.site_uuid,
    f.timestamp_utc,
    f.forecast_version,
    f.created_utc,
    ARRAY(SELECT DISTINCT m.ml_model_uuid FROM unnest(v.ml_model_uuids) AS m (ml_model_uuid)) AS ml_model_uuids,
    v.starts_utc,
    v.ends_utc,
    v.power_kw,
    v.probabilistic_values
FROM (VALUES (NULL::uuid, NULL::uuid)) AS missing (site_uuid, location_uuid)
CROSS JOIN
    LATERAL (
        SELECT
            t.forecast_uuid,
            COALESCE(site_uuid, location_uuid) AS site_uuid,  -- noqa: RF02
            t.timestamp_utc AT TIME ZONE 'UTC' AS timestamp_utc,
            t.forecast_version::text AS forecast_version,
            t.created_utc AT TIME ZONE 'UTC' AS created_utc
        FROM forecasts AS t
        WHERE t.timestamp_utc >= :'start_utc'::timestamp AND t.timestamp_utc <= :'end_utc'::timestamp
    ) AS f
CROSS JOIN LATERAL (
    SELECT
        array_agg(w.ml_model_uuid) AS ml_model_uuids,
        array_agg(w.start_utc) AS starts_utc,
        array_agg(w.end_utc) AS ends_utc,
        array_agg(w.forecast_power_kw) AS power_kw,
        CASE WHEN bool_or(w.probabilistic_values <> '{}') THEN array_agg(w.probabilistic_values) END AS probabilistic_values
    FROM (
        SELECT
            t.ml_model_uuid,
            t.start_utc AT TIME ZONE 'UTC' AS start_utc,
            t.end_utc AT TIME ZONE 'UTC' AS end_utc,
            t.forecast_power_kw,
            t.probabilistic_values
        FROM (VALUES (NULL::uuid, NULL::jsonb)) AS missing (ml_model_uuid, probabilistic_values)
        CROSS JOIN
            LATERAL (
                SELECT
                    u.start_utc,
                    u.end_utc,
                    u.forecast_power_kw,
                    ml_model_uuid,  -- noqa: RF02,RF03
                    probabilistic_values  -- noqa: RF02,RF03
                FROM forecast_values AS u
                WHERE u.forecast_uuid = f.forecast_uuid
            ) AS t
        ORDER BY t.start_utc
    ) AS w
) AS v;
