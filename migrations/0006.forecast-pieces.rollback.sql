-- Brings back the functions of 0004.forecast-functions.
CREATE OR REPLACE FUNCTION day_ahead_start(created_utc timestamptz, hour integer, timezone text) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
    today CONSTANT timestamp := date_trunc('day', created_utc AT TIME ZONE timezone);
    struck CONSTANT timestamptz := (today + make_interval(hours => hour)) AT TIME ZONE timezone;
    midnight CONSTANT timestamp := today + make_interval(days => CASE WHEN created_utc < struck THEN 1 ELSE 2 END);
    starts CONSTANT timestamptz := midnight AT TIME ZONE timezone;
    hour_before CONSTANT timestamptz := starts - interval '1 hour';
BEGIN
    -- where the clock shows midnight twice, the day begins with the first; AT TIME ZONE gives the second
    RETURN CASE WHEN hour_before AT TIME ZONE timezone >= midnight THEN hour_before ELSE starts END;
END
$$;
COMMENT ON FUNCTION day_ahead_start(timestamptz, integer, text) IS
'The first target start for which a forecast counts as made a day ahead, by when it was created: the first midnight, in local time, '
'whose day before had not reached the given hour';

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
            date_bin(make_interval(mins => f.resolution_minutes), f.start_utc, '2000-01-01T00:00Z') - f.start_utc AS phase,
            r.first_utc,
            r.past_utc,
            -- what it hides of older forecasts of its grid: one range without gaps, otherwise the ranges between the gaps
            CASE WHEN f.gaps IS NULL THEN r.first_utc END AS hides_from_utc,
            CASE WHEN f.gaps IS NULL THEN r.past_utc END AS hides_up_to_utc,
            CASE WHEN f.gaps IS NOT NULL THEN tstzmultirange(tstzrange(r.first_utc, r.past_utc)) - f.gaps END AS hides_ranges
        FROM (
            SELECT
                o.site_uuid,
                o.timestamp_utc,
                o.created_utc,
                o.forecast_uuid,
                o.start_utc,
                o.resolution_minutes,
                o.end_utc,
                o.gaps
            FROM forecasts AS o
            WHERE
                o.site_uuid = ANY(asked_sites)
                AND o.end_utc > from_utc
                AND o.start_utc < before_utc
                AND o.created_utc < latest_forecast_values.created_before
                AND (
                    latest_forecast_values.model_name IS NULL
                    OR o.ml_model_uuid = ANY(ARRAY(SELECT m.ml_model_uuid FROM ml_models AS m WHERE m.name = latest_forecast_values.model_name))
                )
            OFFSET 0  -- else the expressions below are planned for each partition
        ) AS f
        CROSS JOIN LATERAL (
            SELECT
                GREATEST(
                    f.start_utc,
                    from_utc,
                    f.timestamp_utc + make_interval(mins => min_horizon_minutes),
                    day_ahead_start(f.created_utc, day_ahead_hour, day_ahead_timezone)
                ) AS first_utc,
                LEAST(f.end_utc, before_utc) AS past_utc
        ) AS r
        WHERE r.first_utc < r.past_utc
    ),

    -- 2. what the newest forecast and the next newer one of the same grid leave over. Each slot of theirs outside of their gaps
    -- has a value, which wins. Leaving over too much does no harm: step 4 decides. The pieces come by site, as the windows
    -- left them, so that step 3 sorts one site after the other.
    piece AS (
        SELECT
            l.site_uuid,
            l.timestamp_utc,
            l.created_utc,
            l.forecast_uuid,
            l.start_utc,
            l.resolution_minutes,
            l.rest,
            make_interval(mins => l.resolution_minutes) AS step,
            floor(date_part('epoch', l.start_utc - l.timestamp_utc) / 60)::integer AS first_horizon
        FROM (
            SELECT
                c.*,
                CASE
                    WHEN c.newest_ranges IS NULL AND c.next_ranges IS NULL THEN o.stretches
                    ELSE ARRAY(
                        SELECT unnest(
                            tstzmultirange(VARIADIC o.stretches) - COALESCE(c.newest_ranges, '{}') - COALESCE(c.next_ranges, '{}')
                        )
                    )
                END AS rest
            FROM (
                SELECT
                    n.*,
                    first_value(n.hides_from_utc) OVER newer AS newest_from_utc,
                    first_value(n.hides_up_to_utc) OVER newer AS newest_up_to_utc,
                    first_value(n.hides_ranges) OVER newer AS newest_ranges,
                    last_value(n.hides_from_utc) OVER newer AS next_from_utc,
                    last_value(n.hides_up_to_utc) OVER newer AS next_up_to_utc,
                    last_value(n.hides_ranges) OVER newer AS next_ranges
                FROM candidate AS n
                WINDOW newer AS (
                    PARTITION BY n.site_uuid, n.resolution_minutes, n.phase
                    ORDER BY n.timestamp_utc DESC, n.created_utc DESC, n.forecast_uuid DESC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                )
            ) AS c
            -- the two hide [from_utc, gap_from_utc) and [gap_up_to_utc, up_to_utc); infinity: they hide nothing
            CROSS JOIN LATERAL (
                SELECT
                    COALESCE(LEAST(c.newest_from_utc, c.next_from_utc), 'infinity') AS from_utc,
                    COALESCE(LEAST(c.newest_up_to_utc, c.next_up_to_utc), 'infinity') AS gap_from_utc,
                    COALESCE(GREATEST(c.newest_from_utc, c.next_from_utc), 'infinity') AS gap_up_to_utc,
                    COALESCE(GREATEST(c.newest_up_to_utc, c.next_up_to_utc), 'infinity') AS up_to_utc
            ) AS h
            -- before, between and after them; one that ends before it begins is empty
            CROSS JOIN LATERAL (
                SELECT
                    array_remove(
                        ARRAY[
                            tstzrange(c.first_utc, GREATEST(c.first_utc, LEAST(c.past_utc, h.from_utc))),
                            tstzrange(
                                GREATEST(c.first_utc, h.gap_from_utc),
                                GREATEST(c.first_utc, h.gap_from_utc, LEAST(c.past_utc, h.gap_up_to_utc))
                            ),
                            tstzrange(LEAST(c.past_utc, GREATEST(c.first_utc, h.up_to_utc)), c.past_utc)
                        ],
                        'empty'
                    ) AS stretches
            ) AS o
            -- the usual case first, without ranges: the newest one hides all of it
            WHERE
                c.first_utc < h.from_utc
                OR h.up_to_utc < c.past_utc
                OR GREATEST(c.first_utc, h.gap_from_utc) < LEAST(c.past_utc, h.gap_up_to_utc)
            ORDER BY c.site_uuid
            OFFSET 0  -- computes rest once
        ) AS l
        WHERE cardinality(l.rest) > 0
    ),

    -- 3. only what is left is read from the arrays
    value AS (
        SELECT
            p.site_uuid,
            p.start_utc + p.step * (s.first_slot + v.n - 1) AS start_utc,
            p.start_utc + p.step * (s.first_slot + v.n) AS end_utc,
            v.power_kw AS forecast_power_kw,
            p.first_horizon + p.resolution_minutes * (s.first_slot + v.n::integer - 1) AS horizon_minutes,
            p.timestamp_utc,
            p.created_utc,
            p.forecast_uuid,
            CASE
                WHEN f.probabilistic_levels IS NOT NULL THEN (
                    SELECT jsonb_object_agg(l.name, f.probabilistic_kw[l.n][s.first_slot + v.n])
                    FROM unnest(f.probabilistic_levels) WITH ORDINALITY AS l (name, n)
                    WHERE f.probabilistic_kw[l.n][s.first_slot + v.n] IS NOT NULL
                )
            END AS probabilistic_values
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
        CROSS JOIN LATERAL unnest(f.power_kw[s.first_slot + 1 : s.past_slot]) WITH ORDINALITY AS v (power_kw, n)
        WHERE s.first_slot < s.past_slot AND v.power_kw IS NOT NULL
        ORDER BY p.site_uuid, p.start_utc + p.step * (s.first_slot + v.n - 1), p.timestamp_utc DESC, p.created_utc DESC, p.forecast_uuid DESC
    )

    -- 4. of the values of one target start that of the newest forecast; they come in the right order
    SELECT DISTINCT ON (v.site_uuid, v.start_utc)
        v.site_uuid,
        v.start_utc,
        v.end_utc,
        v.forecast_power_kw,
        v.horizon_minutes,
        v.timestamp_utc,
        v.created_utc,
        v.forecast_uuid,
        v.probabilistic_values
    FROM value AS v
    ORDER BY v.site_uuid, v.start_utc, v.timestamp_utc DESC, v.created_utc DESC, v.forecast_uuid DESC
$$;
COMMENT ON FUNCTION latest_forecast_values(uuid[], timestamptz, timestamptz, timestamptz, integer, text, integer, text) IS
'For each site and each target start in [from_utc, before_utc) the value of the newest forecast (timestamp_utc, created_utc, '
'forecast_uuid) that has one, among those created before created_before, made at least min_horizon_minutes ahead (NULL: any), '
'of the named model (NULL: any), and, with a day_ahead_hour, created before that hour of the day before the target day';
DROP FUNCTION IF EXISTS latest_forecast_values(
    uuid[], timestamptz, timestamptz, timestamptz, timestamptz, integer, integer, text, text[], boolean, integer, integer, text
);
DROP FUNCTION IF EXISTS latest_forecast_pieces(
    uuid[], timestamptz, timestamptz, timestamptz, timestamptz, integer, integer, text, text[], boolean, integer, integer, text
);
DROP FUNCTION IF EXISTS day_ahead_start(timestamptz, integer, integer, text);
