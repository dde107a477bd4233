-- Count the forecasts of a range by outcome, comparing each with the stored one, and count and sum up the values of
-- both.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp, for partition pruning
--   end_utc    timestamptz  last timestamp, inclusive
-- Result: row
--   outcome          text
--   reason           text
--   note             text
--   forecasts        bigint
--   rows             bigint
--   stored_rows      bigint
--   source_power_kw  numeric
--   stored_power_kw  numeric
-- Index: forecasts_key
-- Touches: adopt_forecast_rows + forecasts (those in the months of the range)
-- After: adopt/forecasts_rows
SELECT
    o.outcome,
    o.reason,
    o.note,
    count(*) AS forecasts,
    sum(o.source_values)::bigint AS rows,
    COALESCE(sum(o.stored_values), 0)::bigint AS stored_rows,
    sum(o.source_power_kw) AS source_power_kw,
    COALESCE(sum(o.stored_power_kw), 0) AS stored_power_kw
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
        CASE WHEN n.reason IS NULL AND n.created_utc IS NULL THEN 'created_utc is NULL: stored with the current time' END AS note,
        n.source_values,
        n.source_power_kw,
        v.stored_values,
        v.stored_power_kw
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
    LEFT JOIN LATERAL (
        SELECT
            count(u.power_kw) AS stored_values,
            sum(u.power_kw::numeric) AS stored_power_kw
        FROM unnest(f.power_kw) AS u (power_kw)
    ) AS v ON TRUE
) AS o
GROUP BY o.outcome, o.reason, o.note;
