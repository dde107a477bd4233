-- Return the models whose forecasts of the given sites have a value that starts in a time window, ordered by name and
-- version.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
--   name        text         return only models with this name; empty for all
--   limit       text         return at most this many rows; empty for all
--   offset      bigint       skip this many rows
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: forecasts_latest_idx, forecasts_key, forecasts_pkey
-- Touches: unfinished_forecasts + siblings * unfinished_forecasts + ml_models
SELECT
    m.ml_model_uuid,
    m.name,
    m.version,
    m.description,
    m.created_utc
FROM ml_models AS m
WHERE
    m.name = COALESCE(NULLIF(:'name', ''), m.name)
    AND m.ml_model_uuid = ANY(
        ARRAY(
            SELECT DISTINCT f.ml_model_uuid
            FROM (
                SELECT
                    e.forecast_uuid,
                    e.site_uuid,
                    e.timestamp_utc,
                    e.ml_model_uuid,
                    e.start_utc,
                    e.resolution_minutes,
                    e.end_utc,
                    e.gaps
                FROM forecasts AS e
                WHERE
                    e.site_uuid = ANY(:'site_uuids'::uuid[])
                    AND e.end_utc > :'start_utc'::timestamptz
                    AND e.start_utc < :'end_utc'::timestamptz
                OFFSET 0  -- else the expressions below are planned for each partition
            ) AS f
            -- where its slots in the window begin, and where they or the window end
            CROSS JOIN
                LATERAL (
                    SELECT
                        f.start_utc + make_interval(
                            mins => f.resolution_minutes * ceil(
                                date_part('epoch', GREATEST(f.start_utc, :'start_utc'::timestamptz) - f.start_utc)
                                / (60 * f.resolution_minutes)
                            )::integer
                        ) AS first_utc,
                        LEAST(f.end_utc, :'end_utc'::timestamptz) AS past_utc
                ) AS w
            WHERE
                w.first_utc < w.past_utc
                -- every slot outside of the gaps has a value; if there are many gaps, some inside of them do too
                AND (
                    f.gaps IS NULL
                    OR NOT f.gaps @> tstzrange(w.first_utc, GREATEST(w.first_utc, w.past_utc))
                    OR EXISTS (
                        SELECT
                        FROM forecasts AS o
                        CROSS JOIN LATERAL unnest(o.power_kw) WITH ORDINALITY AS u (power_kw, slot)
                        WHERE
                            o.site_uuid = f.site_uuid
                            AND o.timestamp_utc = f.timestamp_utc
                            AND o.forecast_uuid = f.forecast_uuid
                            AND u.power_kw IS NOT NULL
                            AND o.start_utc + make_interval(mins => o.resolution_minutes * (u.slot - 1)::integer) >= w.first_utc
                            AND o.start_utc + make_interval(mins => o.resolution_minutes * (u.slot - 1)::integer) < w.past_utc
                    )
                )
        )
    )
ORDER BY m.name, m.version
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
