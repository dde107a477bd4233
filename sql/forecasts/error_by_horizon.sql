-- Return the forecast errors of the given sites in a time window, for each horizon: of all sites together, or of each
-- site. The error is forecast minus generation. The result has the number of values, the mean error, the mean absolute
-- error (mae) and the root mean square error (rmse), in kW and as shares of the site's capacity. Sites without a known
-- capacity above zero do not count for the shares.
--
-- The generation of a slot is the mean of the readings that overlap it, weighted by the length of the overlap. A slot
-- is used only if readings cover at least half of it. Readings that start more than a day before the window are not
-- used.
--
-- It works grid by grid (site, resolution and phase): the generation of all slots in the window becomes one array, and
-- a slice of it is laid beside each forecast. So it needs memory for one grid, and sorts nothing.
--
-- Parameters:
--   by              text         total for all sites together, site for each site
--   site_uuids      uuid[]       the sites
--   start_utc       timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc         timestamptz  end of the window, exclusive; infinity for no limit
--   created_after   timestamptz  use only forecasts created at or after this time; -infinity for all
--   created_before  timestamptz  use only forecasts created before this time; infinity for all
--   created_hour    text         use only forecasts created in this hour of the day, in local time; empty for all
--   timezone        text         of created_hour: an IANA time zone, such as Europe/London, or a POSIX one; or empty
--   bucket_minutes  integer      the width of the steps that horizons are counted in; 1 for each minute
--   model_name      text         use only forecasts of this model; empty for all
--   model_versions  text[]       use only these versions of the model; empty for all
--   of_site_model   boolean      whether to use only forecasts of the model in sites.ml_model_uuid, where a site has one
-- Result: row
--   site_uuid         uuid
--   horizon_minutes   integer
--   count             bigint
--   mean_error_kw     double precision
--   mae_kw            double precision
--   rmse_kw           double precision
--   mean_error_share  double precision
--   mae_share         double precision
--   rmse_share        double precision
-- Index: forecasts_latest_idx, forecasts_key, generation_pkey, ml_models_name_version_key
-- Touches: 2 * unfinished_forecasts + sites + grids * nearby_readings + 2 * versions
WITH grid AS (
    SELECT
        w.site_uuid,
        w.resolution_minutes,
        w.phase,
        w.capacity_kw,
        w.ml_model_uuid,
        w.seconds,
        w.first_utc,
        -- 1, 2, 3 and so on; a slice of it numbers the slots of a reading or a forecast
        ARRAY(SELECT generate_series(1, ceil(date_part('epoch', w.past_utc - w.first_utc) / w.seconds)::integer)) AS slots
    FROM (
        SELECT
            r.site_uuid,
            r.resolution_minutes,
            r.phase,
            r.capacity_kw,
            r.ml_model_uuid,
            r.resolution_minutes * 60 AS seconds,
            -- the first slot that starts in the window
            r.origin_utc + make_interval(mins => r.resolution_minutes) * ceil(
                date_part('epoch', GREATEST(r.origin_utc, :'start_utc'::timestamptz) - r.origin_utc) / (r.resolution_minutes * 60)
            ) AS first_utc,
            LEAST(r.past_utc, :'end_utc'::timestamptz) AS past_utc
        FROM (
            SELECT
                f.site_uuid,
                f.resolution_minutes,
                NULLIF(s.capacity_kw, 0) AS capacity_kw,
                CASE WHEN :'of_site_model'::boolean THEN s.ml_model_uuid END AS ml_model_uuid,
                date_bin(make_interval(mins => f.resolution_minutes), f.start_utc, '2000-01-01T00:00Z') - f.start_utc AS phase,
                min(f.start_utc) AS origin_utc,
                max(f.end_utc) AS past_utc
            FROM forecasts AS f
            LEFT JOIN sites AS s ON s.site_uuid = f.site_uuid
            WHERE
                f.site_uuid = ANY(:'site_uuids'::uuid[])
                AND f.end_utc > :'start_utc'::timestamptz
                AND f.start_utc < :'end_utc'::timestamptz
                AND f.created_utc >= :'created_after'::timestamptz
                AND f.created_utc < :'created_before'::timestamptz
                AND (
                    NULLIF(:'created_hour', '') IS NULL
                    OR date_part('hour', f.created_utc AT TIME ZONE NULLIF(:'timezone', ''))
                    = NULLIF(:'created_hour', '')::integer
                )
                AND (NOT :'of_site_model'::boolean OR s.ml_model_uuid IS NULL OR f.ml_model_uuid = s.ml_model_uuid)
                AND (
                    NULLIF(:'model_name', '') IS NULL
                    OR f.ml_model_uuid = ANY(ARRAY(
                        SELECT m.ml_model_uuid FROM ml_models AS m
                        WHERE
                            m.name = NULLIF(:'model_name', '')
                            AND (:'model_versions'::text[] = '{}' OR m.version = ANY(:'model_versions'::text[]))
                    ))
                )
            GROUP BY f.site_uuid, f.resolution_minutes, phase, s.capacity_kw, s.ml_model_uuid
            -- true by WHERE; without it the planner expects a grid for each start of a forecast
            HAVING max(f.end_utc) > :'start_utc'::timestamptz AND min(f.start_utc) < :'end_utc'::timestamptz
        ) AS r
    ) AS w
    WHERE w.first_utc < w.past_utc
    OFFSET 0  -- here and below: computes the columns of the subquery once, instead of wherever they are used
),

-- the generation of each slot, by its number; NaN if readings cover less than half of it
series AS (
    SELECT
        d.site_uuid,
        d.resolution_minutes,
        d.phase,
        d.capacity_kw,
        d.ml_model_uuid,
        d.seconds,
        d.first_utc,
        d.slots,
        ARRAY(
            SELECT
                CASE
                    -- in whole microseconds, so that exactly half is half
                    WHEN round(sum(t.seconds) * 1000000) >= d.seconds * double precision '500000'
                        THEN sum(t.generation_power_kw * t.seconds) / sum(t.seconds)
                    ELSE 'NaN'
                END
            FROM (
                SELECT
                    o.slot,
                    o.generation_power_kw,
                    LEAST(o.past_s, o.slot * d.seconds) - GREATEST(o.first_s, (o.slot - 1) * d.seconds) AS seconds
                FROM (
                    SELECT
                        p.generation_power_kw,
                        p.first_s,
                        p.past_s,
                        unnest(
                            d.slots[
                                GREATEST(floor(p.first_s / d.seconds) + 1, 1)::integer
                                :(LEAST(ceil(p.past_s / d.seconds), cardinality(d.slots))::integer)
                            ]
                        ) AS slot
                    FROM (
                        SELECT
                            g.generation_power_kw,
                            date_part('epoch', g.start_utc - d.first_utc) AS first_s,
                            date_part('epoch', g.end_utc - d.first_utc) AS past_s
                        FROM generation AS g
                        WHERE
                            g.site_uuid = d.site_uuid
                            AND g.start_utc >= :'start_utc'::timestamptz - interval '1 day'
                            AND g.start_utc < :'end_utc'::timestamptz + interval '1 day'
                        OFFSET 0
                    ) AS p
                ) AS o
                UNION ALL
                -- slots without readings are in the array too
                SELECT
                    n.slot,
                    0 AS generation_power_kw,
                    0 AS seconds
                FROM unnest(d.slots) AS n (slot)
            ) AS t
            GROUP BY t.slot
            ORDER BY t.slot
        ) AS power_kw
    FROM grid AS d
    WHERE cardinality(d.slots) > 0
    OFFSET 0
)

SELECT
    b.site_uuid,
    b.horizon_minutes,
    sum(e.count)::bigint AS count,
    sum(e.kw) / sum(e.count)::double precision AS mean_error_kw,
    sum(e.absolute_kw) / sum(e.count)::double precision AS mae_kw,
    sqrt(sum(e.squared_kw) / sum(e.count)::double precision) AS rmse_kw,
    sum(e.kw / m.capacity_kw) / (sum(e.count) FILTER (WHERE m.capacity_kw IS NOT NULL))::double precision AS mean_error_share,
    sum(e.absolute_kw / m.capacity_kw) / (sum(e.count) FILTER (WHERE m.capacity_kw IS NOT NULL))::double precision AS mae_share,
    sqrt(
        sum(e.squared_kw / m.capacity_kw / m.capacity_kw)
        / (sum(e.count) FILTER (WHERE m.capacity_kw IS NOT NULL))::double precision
    ) AS rmse_share
FROM series AS m
-- each forecast beside its slice of the series
CROSS JOIN
    LATERAL (
        SELECT
            v.first_horizon + m.resolution_minutes * v.slot AS horizon_minutes,
            count(*) AS count,
            sum(v.power_kw - v.measured_kw) AS kw,
            sum(abs(v.power_kw - v.measured_kw)) AS absolute_kw,
            sum((v.power_kw - v.measured_kw) * (v.power_kw - v.measured_kw)) AS squared_kw
        FROM (
            SELECT
                c.first_horizon,
                unnest(c.power_kw[(1 - LEAST(c.ahead, 0)):(cardinality(m.slots) - c.ahead)]) AS power_kw,
                unnest(m.power_kw[(1 + GREATEST(c.ahead, 0)):(cardinality(c.power_kw) + c.ahead)]) AS measured_kw,
                unnest(m.slots[(1 + GREATEST(c.ahead, 0)):(cardinality(c.power_kw) + c.ahead)]) AS slot
            FROM (
                SELECT
                    f.power_kw,
                    a.ahead,
                    floor(date_part('epoch', f.start_utc - f.timestamp_utc) / 60)::integer
                    - (a.ahead + 1) * m.resolution_minutes AS first_horizon
                FROM forecasts AS f
                -- the number of slots from the first one of the series to the first one of the forecast
                CROSS JOIN
                    LATERAL (
                        SELECT round(date_part('epoch', f.start_utc - m.first_utc) / m.seconds)::integer AS ahead
                    ) AS a
                WHERE
                    f.site_uuid = m.site_uuid
                    AND f.resolution_minutes = m.resolution_minutes
                    -- COALESCE: of an equality with an expression the planner expects one row in 200
                    AND COALESCE(
                        date_bin(make_interval(mins => f.resolution_minutes), f.start_utc, '2000-01-01T00:00Z') - f.start_utc = m.phase,
                        FALSE
                    )
                    AND f.end_utc > :'start_utc'::timestamptz
                    AND f.start_utc < :'end_utc'::timestamptz
                    AND f.created_utc >= :'created_after'::timestamptz
                    AND f.created_utc < :'created_before'::timestamptz
                    AND (
                        NULLIF(:'created_hour', '') IS NULL
                        OR date_part('hour', f.created_utc AT TIME ZONE NULLIF(:'timezone', ''))
                        = NULLIF(:'created_hour', '')::integer
                    )
                    -- COALESCE here too: with IS NULL OR the planner expects one row in 100, and sorts the values
                    AND COALESCE(
                        f.ml_model_uuid IS NOT DISTINCT FROM COALESCE(m.ml_model_uuid, f.ml_model_uuid), FALSE
                    )
                    AND (
                        NULLIF(:'model_name', '') IS NULL
                        OR f.ml_model_uuid = ANY(ARRAY(
                            SELECT w.ml_model_uuid FROM ml_models AS w
                            WHERE
                                w.name = NULLIF(:'model_name', '')
                                AND (:'model_versions'::text[] = '{}' OR w.version = ANY(:'model_versions'::text[]))
                        ))
                    )
                OFFSET 0
            ) AS c
        ) AS v
        WHERE v.power_kw - v.measured_kw <> 'NaN'
        GROUP BY horizon_minutes
    ) AS e
CROSS JOIN
    LATERAL (  -- noqa: ST05
        SELECT
            CASE :'by'::text WHEN 'site' THEN m.site_uuid END AS site_uuid,
            (floor(e.horizon_minutes::double precision / :'bucket_minutes'::integer) * :'bucket_minutes'::integer)::integer
                AS horizon_minutes
    ) AS b
WHERE
    -- raises an error for an unknown time zone, even if there is no forecast
    NULLIF(:'timezone', '') IS NULL
    OR timestamptz '2000-01-01 00:00+00' AT TIME ZONE NULLIF(:'timezone', '') IS NOT NULL
GROUP BY b.site_uuid, b.horizon_minutes
ORDER BY b.site_uuid, b.horizon_minutes;
