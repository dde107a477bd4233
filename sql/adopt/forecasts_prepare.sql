-- Prepare forecasts: convert the values of each into the arrays of one row, if they have one duration and lie on one
-- time grid. A forecast is copied completely or not at all. If several have the same site, timestamp, model and
-- version, the newest one (created_utc) is stored.
--
-- Parameters: none
-- Result: none
-- Index: none (sites are few beside the forecasts of a range)
-- Touches: adopt_forecasts + sites + adopt_ids
-- After: adopt/documents_ids, adopt/forecasts_staging, adopt/forecasts_rows
INSERT INTO pg_temp.adopt_forecast_rows (  -- noqa: disable=ST05
    forecast_uuid, site_uuid, timestamp_utc, ml_model_uuid, forecast_version, created_utc, start_utc, resolution_minutes, power_kw,
    probabilistic_levels, probabilistic_kw, source_values, source_power_kw, reason
)
SELECT
    a.forecast_uuid,
    a.site_uuid,
    a.timestamp_utc,
    m.stored_uuid,
    version.name,
    a.created_utc,
    a.starts_utc[1],
    extract(EPOCH FROM c.duration)::integer / 60,
    p.power_kw,
    l.names,
    l.kw,
    c.source_values,
    c.source_power_kw,
    CASE
        WHEN rejected.reason IS NOT NULL THEN rejected.reason
        WHEN
            row_number() OVER (
                PARTITION BY a.site_uuid, a.timestamp_utc, m.stored_uuid, version.name, rejected.reason
                ORDER BY a.created_utc DESC NULLS LAST, a.forecast_uuid DESC
            ) > 1 THEN 'a newer forecast has the same site, timestamp, model and version'
    END
FROM pg_temp.adopt_forecasts AS a
CROSS JOIN LATERAL (SELECT COALESCE(a.forecast_version, '') AS name) AS version
LEFT JOIN sites AS s ON s.site_uuid = a.site_uuid
LEFT JOIN pg_temp.adopt_ids AS m ON m.kind = 'ml_models' AND m.source_uuid = a.ml_model_uuids[1]
CROSS JOIN
    LATERAL (
        SELECT
            count(*)::integer AS source_values,
            -- as in source_forecast_totals
            COALESCE(
                sum(
                    CASE
                        WHEN abs(v.power_kw) < 1e-37 THEN 0
                        WHEN abs(v.power_kw) <= 3.4e38 THEN v.power_kw::real::numeric
                    END
                ),
                0
            ) AS source_power_kw,
            bool_and((abs(v.power_kw) <= 3.4e38) IS TRUE) AS is_finite,
            bool_and(
                (v.start_utc >= '1970-01-01T00:00Z' AND v.start_utc < '2100-01-01T00:00Z' AND v.end_utc < 'infinity') IS TRUE
            ) AS is_in_range,
            bool_and((v.end_utc > v.start_utc) IS TRUE) AS ends_after_start,
            min(CASE WHEN isfinite(v.start_utc) AND isfinite(v.end_utc) THEN v.end_utc - v.start_utc END) AS duration,
            max(CASE WHEN isfinite(v.start_utc) AND isfinite(v.end_utc) THEN v.end_utc - v.start_utc END) AS max_duration
        FROM unnest(a.starts_utc, a.ends_utc, a.power_kw) AS v (start_utc, end_utc, power_kw)
    ) AS c
CROSS JOIN
    LATERAL (
        -- true for most forecasts: no gaps, so the slower checks below are skipped
        SELECT
            CASE
                WHEN
                    c.is_in_range
                    AND c.ends_after_start
                    AND (c.source_values - 1) * c.duration = a.starts_utc[c.source_values] - a.starts_utc[1]
                    THEN a.starts_utc = ARRAY(SELECT generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.duration))
                ELSE FALSE
            END AS is_complete
        LIMIT 1  -- LIMIT prevents inlining, so this is computed once
    ) AS grid
CROSS JOIN
    LATERAL (
        SELECT
            CASE
                WHEN s.site_uuid IS NULL THEN 'its site does not exist'
                WHEN (a.timestamp_utc >= '1970-01-01T00:00Z' AND a.timestamp_utc < '2100-01-01T00:00Z') IS NOT TRUE
                    THEN 'its timestamp is outside 1970 to 2099'
                WHEN c.source_values = 0 THEN 'it has no values'
                WHEN cardinality(a.ml_model_uuids) > 1 THEN 'its values have several models'
                WHEN a.ml_model_uuids[1] IS NOT NULL AND m.stored_uuid IS NULL THEN 'its model does not exist'
                WHEN NOT c.is_finite THEN 'a value is NULL, NaN or infinite'
                WHEN NOT c.is_in_range THEN 'a value is outside 1970 to 2099'
                WHEN NOT c.ends_after_start THEN 'the end of a value is not after its start'
                WHEN c.duration < c.max_duration THEN 'its values have different durations'
                WHEN
                    NOT grid.is_complete
                    AND c.source_values > (SELECT count(DISTINCT v.start_utc) FROM unnest(a.starts_utc) AS v (start_utc))
                    THEN 'two values have the same start'
                WHEN extract(EPOCH FROM c.duration) % 60 <> 0 OR c.duration > interval '1440 minutes'
                    THEN 'the duration of its values is not 1 to 1440 whole minutes'
                WHEN
                    NOT grid.is_complete
                    AND EXISTS (
                        SELECT
                        FROM unnest(a.starts_utc) AS v (start_utc)
                        WHERE extract(EPOCH FROM v.start_utc - a.starts_utc[1]) % extract(EPOCH FROM c.duration) <> 0
                    ) THEN 'its values are not on one time grid'
                WHEN extract(EPOCH FROM a.starts_utc[c.source_values] - a.starts_utc[1]) / extract(EPOCH FROM c.duration) >= 100000
                    THEN 'it has more than 100000 slots'
                WHEN
                    EXISTS (
                        SELECT
                        FROM unnest(a.probabilistic_values) AS v (value)
                        CROSS JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(v.value) = 'object' THEN v.value ELSE '{"": "none"}' END) AS e
                        WHERE
                            CASE jsonb_typeof(e.value)
                                WHEN 'number' THEN abs(e.value::numeric) > 3.4e38
                                WHEN 'null' THEN FALSE
                                ELSE TRUE
                            END
                    ) THEN 'its probabilistic values are not an object of numbers'
            END AS reason
        LIMIT 1
    ) AS rejected
LEFT JOIN LATERAL (
    SELECT CASE
        WHEN rejected.reason IS NOT NULL THEN NULL  -- the casts below could fail
        WHEN
            grid.is_complete
            THEN ARRAY(
                SELECT CASE WHEN abs(v.power_kw) < 1e-37 THEN 0 ELSE v.power_kw::real END
                FROM unnest(a.power_kw) AS v (power_kw)
            )
        ELSE ARRAY(
            SELECT CASE WHEN abs(v.power_kw) < 1e-37 THEN 0 ELSE v.power_kw::real END
            FROM generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.duration) AS slot (start_utc)
            LEFT JOIN unnest(a.starts_utc, a.power_kw) AS v (start_utc, power_kw) ON v.start_utc = slot.start_utc
            ORDER BY slot.start_utc
        )
    END AS power_kw
) AS p ON rejected.reason IS NULL
LEFT JOIN LATERAL (
    SELECT
        array_agg(level.name ORDER BY length(level.name), level.name COLLATE "C") AS names,  -- noqa: RF03
        array_agg(level.kw ORDER BY length(level.name), level.name COLLATE "C") AS kw  -- noqa: RF03
    FROM (
        SELECT
            k.name,
            ARRAY(
                SELECT CASE WHEN abs((v.value ->> k.name)::numeric) < 1e-37 THEN 0 ELSE (v.value ->> k.name)::numeric::real END
                FROM generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.duration) AS slot (start_utc)
                LEFT JOIN unnest(a.starts_utc, a.probabilistic_values) AS v (start_utc, value) ON v.start_utc = slot.start_utc
                ORDER BY slot.start_utc
            ) AS kw
        FROM (
            SELECT DISTINCT e.name
            FROM unnest(CASE WHEN rejected.reason IS NULL THEN a.probabilistic_values END) AS v (value)
            CROSS JOIN LATERAL jsonb_each(v.value) AS e (name, value)
            WHERE e.value <> 'null'
        ) AS k
    ) AS level
) AS l ON rejected.reason IS NULL AND a.probabilistic_values IS NOT NULL;
