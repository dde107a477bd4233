-- Return the forecast errors of the given sites in a time window, for each horizon. The error is forecast minus
-- generation. The result has the number of values, the mean error, the mean absolute error (mae) and the root mean
-- square error (rmse), in kW and as shares of the site's capacity. Sites without a known capacity above zero do not
-- count for the shares.
--
-- The generation of a slot is the mean of the readings that overlap it, weighted by the length of the overlap. A slot
-- is used only if readings cover at least half of it. Readings that start more than a day before the window are not
-- used.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
--   model_name  text         use only forecasts of this model, in any version; empty for all
-- Result: row
--   horizon_minutes   integer
--   count             bigint
--   mean_error_kw     double precision
--   mae_kw            double precision
--   rmse_kw           double precision
--   mean_error_share  double precision
--   mae_share         double precision
--   rmse_share        double precision
-- Index: forecasts_latest_idx, forecasts_key, generation_pkey, ml_models_name_version_key
-- Touches: unfinished_forecasts + sites + grids * nearby_readings + versions
WITH forecast AS MATERIALIZED (
    SELECT
        f.site_uuid,
        f.timestamp_utc,
        f.start_utc,
        f.resolution_minutes,
        f.power_kw,
        date_bin(make_interval(mins => f.resolution_minutes), f.start_utc, '2000-01-01T00:00Z') - f.start_utc AS phase,
        NULLIF(s.capacity_kw, 0) AS capacity_kw
    FROM forecasts AS f
    LEFT JOIN sites AS s ON s.site_uuid = f.site_uuid
    WHERE
        f.site_uuid = ANY(:'site_uuids'::uuid[])
        AND f.end_utc > :'start_utc'::timestamptz
        AND f.start_utc < :'end_utc'::timestamptz
        AND (
            NULLIF(:'model_name', '') IS NULL
            OR f.ml_model_uuid = ANY(ARRAY(
                SELECT m.ml_model_uuid FROM ml_models AS m
                WHERE m.name = NULLIF(:'model_name', '')
            ))
        )
),

-- the grids of each site's forecasts; usually one per site
grid AS (
    SELECT DISTINCT
        f.site_uuid,
        f.resolution_minutes,
        f.phase
    FROM forecast AS f
),

-- each reading in each slot that it overlaps, with the length of the overlap
touched AS (
    SELECT
        d.site_uuid,
        d.resolution_minutes,
        d.phase,
        t.start_utc,
        g.generation_power_kw,
        date_part(
            'epoch', LEAST(g.end_utc, t.start_utc + make_interval(mins => d.resolution_minutes)) - GREATEST(g.start_utc, t.start_utc)
        ) AS seconds
    FROM grid AS d
    JOIN generation AS g ON g.site_uuid = d.site_uuid
    CROSS JOIN
        LATERAL generate_series(
            date_bin(make_interval(mins => d.resolution_minutes), g.start_utc, timestamptz '2000-01-01T00:00Z' - d.phase),
            g.end_utc - interval '1 microsecond',
            make_interval(mins => d.resolution_minutes)
        ) AS t (start_utc)
    WHERE
        g.site_uuid = ANY(:'site_uuids'::uuid[])  -- the same sites as in grid, so that no join order reads others
        AND g.start_utc >= :'start_utc'::timestamptz - interval '1 day'
        AND g.start_utc < :'end_utc'::timestamptz + interval '1 day'
),

measured AS (
    SELECT
        t.site_uuid,
        t.resolution_minutes,
        t.phase,
        t.start_utc,
        sum(t.generation_power_kw * t.seconds) / sum(t.seconds) AS power_kw
    FROM touched AS t
    WHERE t.start_utc >= :'start_utc'::timestamptz AND t.start_utc < :'end_utc'::timestamptz
    GROUP BY t.site_uuid, t.resolution_minutes, t.phase, t.start_utc
    HAVING sum(t.seconds) >= t.resolution_minutes * 30
),

-- Match values and measurements with one sort instead of a join: on freshly loaded tables without statistics, the
-- planner would choose a nested loop.
matched AS (
    SELECT
        a.timestamp_utc,
        a.start_utc,
        a.capacity_kw,
        a.power_kw,
        max(a.measured_kw) OVER (PARTITION BY a.site_uuid, a.resolution_minutes, a.phase, a.start_utc) AS measured_kw
    FROM (
        SELECT
            f.site_uuid,
            f.resolution_minutes,
            f.phase,
            f.start_utc + make_interval(mins => f.resolution_minutes * (u.slot - 1)::integer) AS start_utc,
            f.timestamp_utc,
            f.capacity_kw,
            u.power_kw::double precision AS power_kw,
            NULL::double precision AS measured_kw
        FROM forecast AS f
        CROSS JOIN LATERAL unnest(f.power_kw) WITH ORDINALITY AS u (power_kw, slot)
        WHERE u.power_kw IS NOT NULL
        UNION ALL
        SELECT
            m.site_uuid,
            m.resolution_minutes,
            m.phase,
            m.start_utc,
            NULL AS timestamp_utc,
            NULL AS capacity_kw,
            NULL AS power_kw,
            m.power_kw AS measured_kw
        FROM measured AS m
    ) AS a
),

error AS (
    SELECT
        floor(date_part('epoch', m.start_utc - m.timestamp_utc) / 60)::integer AS horizon_minutes,
        m.power_kw - m.measured_kw AS kw,
        (m.power_kw - m.measured_kw) / m.capacity_kw AS share
    FROM matched AS m
    WHERE m.power_kw IS NOT NULL AND m.measured_kw IS NOT NULL
)

SELECT
    e.horizon_minutes,
    count(*) AS count,
    avg(e.kw) AS mean_error_kw,
    avg(abs(e.kw)) AS mae_kw,
    sqrt(avg(e.kw * e.kw)) AS rmse_kw,
    avg(e.share) AS mean_error_share,
    avg(abs(e.share)) AS mae_share,
    sqrt(avg(e.share * e.share)) AS rmse_share
FROM error AS e
GROUP BY e.horizon_minutes
ORDER BY e.horizon_minutes;
