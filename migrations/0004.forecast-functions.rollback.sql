-- Brings back the function of 0001.initial-schema.
CREATE OR REPLACE FUNCTION latest_forecast_values(
    asked_sites uuid[],
    from_utc timestamptz,
    before_utc timestamptz,
    created_before timestamptz,
    min_horizon_minutes integer,
    model_name text,
    day_ahead_hour integer DEFAULT NULL,
    day_ahead_timezone text DEFAULT NULL
) RETURNS TABLE (
    site_uuid uuid,
    start_utc timestamptz,
    end_utc timestamptz,
    forecast_power_kw real,
    horizon_minutes integer,
    timestamp_utc timestamptz,
    created_utc timestamptz,
    forecast_uuid uuid,
    probabilistic_values jsonb
)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000 AS $$
    -- 1. candidates: which target starts each forecast may answer for; from the index alone, no array is opened
    WITH candidate AS (
        SELECT
            f.site_uuid,
            f.timestamp_utc,
            f.created_utc,
            f.forecast_uuid,
            f.start_utc,
            f.resolution_minutes,
            f.gaps,
            date_bin(make_interval(mins => f.resolution_minutes), f.start_utc, '2000-01-01T00:00Z') - f.start_utc AS phase,
            tstzrange(LEAST(r.first_utc, r.past_utc), r.past_utc) AS reach
        FROM forecasts AS f
        -- midnight of the first day whose day before had not struck that hour when the forecast was made
        CROSS JOIN LATERAL (
            SELECT
                date_trunc('day', f.created_utc AT TIME ZONE day_ahead_timezone)
                + CASE
                    WHEN
                        f.created_utc < (
                            date_trunc('day', f.created_utc AT TIME ZONE day_ahead_timezone)
                            + make_interval(hours => day_ahead_hour)
                        ) AT TIME ZONE day_ahead_timezone THEN interval '1 day'
                    ELSE interval '2 days'
                END AS midnight
        ) AS d
        CROSS JOIN LATERAL (
            SELECT
                GREATEST(
                    f.start_utc,
                    from_utc,
                    f.timestamp_utc + make_interval(mins => min_horizon_minutes),
                    -- where the clock shows midnight twice, the day begins with the first; AT TIME ZONE gives the second
                    (d.midnight AT TIME ZONE day_ahead_timezone) - CASE
                        WHEN
                            ((d.midnight AT TIME ZONE day_ahead_timezone) - interval '1 hour') AT TIME ZONE day_ahead_timezone
                            >= d.midnight THEN interval '1 hour'
                        ELSE interval '0'
                    END
                ) AS first_utc,
                LEAST(f.end_utc, before_utc) AS past_utc
        ) AS r
        WHERE
            f.site_uuid = ANY(asked_sites)
            AND f.end_utc > from_utc
            AND f.start_utc < before_utc
            AND f.created_utc < latest_forecast_values.created_before
            AND (
                latest_forecast_values.model_name IS NULL
                OR f.ml_model_uuid = ANY(ARRAY(SELECT m.ml_model_uuid FROM ml_models AS m WHERE m.name = latest_forecast_values.model_name))
            )
    ),

    -- 2. what the newest forecast and the next newer one of the same grid leave over. Each slot of theirs outside of their gaps
    -- has a value, which wins. Leaving over too much does no harm: step 4 decides. The pieces come by site, as the windows
    -- left them, so that step 4 sorts one site after the other.
    piece AS (
        SELECT
            c.site_uuid,
            c.timestamp_utc,
            c.created_utc,
            c.forecast_uuid,
            c.start_utc,
            c.resolution_minutes,
            l.rest,
            make_interval(mins => c.resolution_minutes) AS step,
            floor(date_part('epoch', c.start_utc - c.timestamp_utc) / 60)::integer AS first_horizon,
            CASE WHEN isempty(l.rest) THEN 0 ELSE 1 END AS is_left
        FROM (
            SELECT
                n.*,
                CASE
                    WHEN row_number() OVER newer > 1
                    THEN first_value(tstzmultirange(n.reach) - COALESCE(n.gaps, '{}')) OVER newer
                END AS newest,
                lag(tstzmultirange(n.reach) - COALESCE(n.gaps, '{}')) OVER newer AS next_newer
            FROM candidate AS n
            WINDOW newer AS (
                PARTITION BY n.site_uuid, n.resolution_minutes, n.phase
                ORDER BY n.timestamp_utc DESC, n.created_utc DESC, n.forecast_uuid DESC
            )
        ) AS c
        CROSS JOIN LATERAL (
            SELECT tstzmultirange(c.reach) - COALESCE(c.newest, '{}') - COALESCE(c.next_newer, '{}') AS rest
        ) AS l
        ORDER BY c.site_uuid
    )

    -- 4. of the values of one target start that of the newest forecast
    SELECT DISTINCT ON (p.site_uuid, p.start_utc + p.step * v.slot)
        p.site_uuid,
        p.start_utc + p.step * v.slot AS start_utc,
        p.start_utc + p.step * (v.slot + 1) AS end_utc,
        v.power_kw AS forecast_power_kw,
        p.first_horizon + p.resolution_minutes * v.slot AS horizon_minutes,
        p.timestamp_utc,
        p.created_utc,
        p.forecast_uuid,
        CASE
            WHEN f.probabilistic_levels IS NOT NULL THEN (
                SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][v.slot + 1])
                FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
                WHERE f.probabilistic_kw[l.n][v.slot + 1] IS NOT NULL
            )
        END AS probabilistic_values
    -- 3. only what is left is read from the arrays
    FROM piece AS p
    CROSS JOIN LATERAL (
        SELECT
            o.power_kw,
            o.probabilistic_levels,
            o.probabilistic_kw
        FROM forecasts AS o
        WHERE
            o.site_uuid = p.site_uuid
            AND o.timestamp_utc = p.timestamp_utc
            AND o.forecast_uuid = p.forecast_uuid
        LIMIT 1  -- there is but one; so it is looked up, never hashed
    ) AS f
    CROSS JOIN LATERAL unnest(p.rest) AS stretch
    CROSS JOIN LATERAL (
        SELECT
            ceil(date_part('epoch', lower(stretch) - p.start_utc) / (60 * p.resolution_minutes))::integer AS first_slot,
            ceil(date_part('epoch', upper(stretch) - p.start_utc) / (60 * p.resolution_minutes))::integer AS past_slot
    ) AS s
    CROSS JOIN LATERAL (
        SELECT
            unnest(f.power_kw[s.first_slot + 1 : s.past_slot]) AS power_kw,
            generate_series(s.first_slot, s.past_slot - 1) AS slot
    ) AS v
    WHERE v.power_kw IS NOT NULL AND p.is_left = 1  -- an equality, of which the planner expects few rows: most forecasts are hidden by newer ones
    ORDER BY p.site_uuid, p.start_utc + p.step * v.slot, p.timestamp_utc DESC, p.created_utc DESC, p.forecast_uuid DESC
$$;
COMMENT ON FUNCTION latest_forecast_values(uuid[], timestamptz, timestamptz, timestamptz, integer, text, integer, text) IS
'For each site and each target start in [from_utc, before_utc) the value of the newest forecast (timestamp_utc, created_utc, '
'forecast_uuid) that has one, among those created before created_before, made at least min_horizon_minutes ahead (NULL: any), '
'of the named model (NULL: any), and, with a day_ahead_hour, created before that hour of the day before the target day';
DROP FUNCTION IF EXISTS day_ahead_start(timestamptz, integer, text);
