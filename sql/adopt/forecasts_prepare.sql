-- Turns the values of each forecast into the arrays of one row, if they all last equally long and lie on one grid; a forecast is
-- taken over whole or not at all. Of several of one site, timestamp, model and version the newest one (created_utc) is stored.
--
-- Parameters: none
-- Result: none
-- Index: none (sites are few beside the forecasts of a range)
-- Touches: adopt_forecasts + sites + adopt_ids
-- After: adopt/documents_ids, adopt/forecasts_arrived, adopt/forecasts_rows
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
    extract(EPOCH FROM c.lasts)::integer / 60,
    p.power_kw,
    l.names,
    l.kw,
    c.source_values,
    c.source_power_kw,
    CASE
        WHEN refused.reason IS NOT NULL THEN refused.reason
        WHEN
            row_number() OVER (
                PARTITION BY a.site_uuid, a.timestamp_utc, m.stored_uuid, version.name, refused.reason
                ORDER BY a.created_utc DESC NULLS LAST, a.forecast_uuid DESC
            ) > 1 THEN 'a newer forecast of the same site, timestamp, model and version'
    END
FROM pg_temp.adopt_forecasts AS a
CROSS JOIN LATERAL (SELECT COALESCE(a.forecast_version, '') AS name) AS version
LEFT JOIN sites AS s ON s.site_uuid = a.site_uuid
LEFT JOIN pg_temp.adopt_ids AS m ON m.kind = 'ml_models' AND m.source_uuid = a.ml_model_uuids[1]
CROSS JOIN
    LATERAL (
        SELECT
            count(*)::integer AS source_values,
            -- as source_forecast_totals has it
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
            ) AS is_in_time,
            bool_and((v.end_utc > v.start_utc) IS TRUE) AS is_ahead,
            min(CASE WHEN isfinite(v.start_utc) AND isfinite(v.end_utc) THEN v.end_utc - v.start_utc END) AS lasts,
            max(CASE WHEN isfinite(v.start_utc) AND isfinite(v.end_utc) THEN v.end_utc - v.start_utc END) AS lasts_at_most
        FROM unnest(a.starts_utc, a.ends_utc, a.power_kw) AS v (start_utc, end_utc, power_kw)
    ) AS c
CROSS JOIN
    LATERAL (
        -- the usual forecast: no gaps, and so nothing more to look at
        SELECT
            CASE
                WHEN c.is_in_time AND c.is_ahead AND (c.source_values - 1) * c.lasts = a.starts_utc[c.source_values] - a.starts_utc[1]
                    THEN a.starts_utc = ARRAY(SELECT generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.lasts))
                ELSE FALSE
            END AS is_whole
        LIMIT 1  -- worked out once, not wherever it is named
    ) AS grid
CROSS JOIN
    LATERAL (
        SELECT
            CASE
                WHEN s.site_uuid IS NULL THEN 'its site is not there'
                WHEN (a.timestamp_utc >= '1970-01-01T00:00Z' AND a.timestamp_utc < '2100-01-01T00:00Z') IS NOT TRUE
                    THEN 'its timestamp is outside of 1970 to 2099'
                WHEN c.source_values = 0 THEN 'it has no values'
                WHEN cardinality(a.ml_model_uuids) > 1 THEN 'its values are of several models'
                WHEN a.ml_model_uuids[1] IS NOT NULL AND m.stored_uuid IS NULL THEN 'its model is not there'
                WHEN NOT c.is_finite THEN 'a value is missing, NaN or infinite'
                WHEN NOT c.is_in_time THEN 'a value lies outside of 1970 to 2099'
                WHEN NOT c.is_ahead THEN 'a value does not end after its start'
                WHEN c.lasts < c.lasts_at_most THEN 'its values last differently long'
                WHEN
                    NOT grid.is_whole
                    AND c.source_values > (SELECT count(DISTINCT v.start_utc) FROM unnest(a.starts_utc) AS v (start_utc))
                    THEN 'two values have the same start'
                WHEN extract(EPOCH FROM c.lasts) % 60 <> 0 OR c.lasts > interval '1440 minutes'
                    THEN 'its values do not last whole minutes, from 1 to 1440'
                WHEN
                    NOT grid.is_whole
                    AND EXISTS (
                        SELECT
                        FROM unnest(a.starts_utc) AS v (start_utc)
                        WHERE extract(EPOCH FROM v.start_utc - a.starts_utc[1]) % extract(EPOCH FROM c.lasts) <> 0
                    ) THEN 'its values do not lie on one grid'
                WHEN extract(EPOCH FROM a.starts_utc[c.source_values] - a.starts_utc[1]) / extract(EPOCH FROM c.lasts) >= 100000
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
                    ) THEN 'its probabilistic values are not numbers by name'
            END AS reason
        LIMIT 1
    ) AS refused
LEFT JOIN LATERAL (
    SELECT CASE
        WHEN refused.reason IS NOT NULL THEN NULL  -- some casts below would fail
        WHEN
            grid.is_whole
            THEN ARRAY(
                SELECT CASE WHEN abs(v.power_kw) < 1e-37 THEN 0 ELSE v.power_kw::real END
                FROM unnest(a.power_kw) AS v (power_kw)
            )
        ELSE ARRAY(
            SELECT CASE WHEN abs(v.power_kw) < 1e-37 THEN 0 ELSE v.power_kw::real END
            FROM generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.lasts) AS slot (start_utc)
            LEFT JOIN unnest(a.starts_utc, a.power_kw) AS v (start_utc, power_kw) ON v.start_utc = slot.start_utc
            ORDER BY slot.start_utc
        )
    END AS power_kw
) AS p ON refused.reason IS NULL
LEFT JOIN LATERAL (
    SELECT
        array_agg(level.name ORDER BY length(level.name), level.name COLLATE "C") AS names,  -- noqa: RF03
        array_agg(level.kw ORDER BY length(level.name), level.name COLLATE "C") AS kw  -- noqa: RF03
    FROM (
        SELECT
            k.name,
            ARRAY(
                SELECT CASE WHEN abs((v.value ->> k.name)::numeric) < 1e-37 THEN 0 ELSE (v.value ->> k.name)::numeric::real END
                FROM generate_series(a.starts_utc[1], a.starts_utc[c.source_values], c.lasts) AS slot (start_utc)
                LEFT JOIN unnest(a.starts_utc, a.probabilistic_values) AS v (start_utc, value) ON v.start_utc = slot.start_utc
                ORDER BY slot.start_utc
            ) AS kw
        FROM (
            SELECT DISTINCT e.name
            FROM unnest(CASE WHEN refused.reason IS NULL THEN a.probabilistic_values END) AS v (value)
            CROSS JOIN LATERAL jsonb_each(v.value) AS e (name, value)
            WHERE e.value <> 'null'
        ) AS k
    ) AS level
) AS l ON refused.reason IS NULL AND a.probabilistic_values IS NOT NULL;
