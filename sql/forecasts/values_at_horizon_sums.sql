-- Return the sums of the values with exactly the given horizon (see values_at_horizon) of the given sites for each
-- start, in total or per DNO or GSP, ordered by start and name. Sites without a DNO or GSP have the name NULL.
--
-- Parameters:
--   by               text         total, dno or gsp
--   site_uuids       uuid[]       the sites
--   start_utc        timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc          timestamptz  end of the window, exclusive; infinity for no limit
--   created_after    timestamptz  use only forecasts created at or after this time; -infinity for all
--   created_before   timestamptz  use only forecasts created before this time; infinity for all
--   horizon_minutes  integer      whole minutes from the forecast's timestamp to the value's start, rounded down
--   model_name       text         use only forecasts of this model; empty for all
--   model_versions   text[]       use only these versions of the model; empty for all
--   of_site_model    boolean      whether to use only forecasts of the model in sites.ml_model_uuid, where a site has one
-- Result: ForecastValueSum
--   start_utc  timestamptz
--   power_kw   real
--   name       text
-- Index: forecasts_key, ml_models_name_version_key, sites_pkey
-- Touches: 2 * window_forecasts + versions + sites
SELECT
    v.start_utc,
    sum(v.forecast_power_kw::double precision)::real AS power_kw,
    CASE :'by'::text WHEN 'total' THEN 'total' WHEN 'dno' THEN s.dno WHEN 'gsp' THEN s.gsp END AS name
FROM (
    SELECT DISTINCT ON (f.site_uuid, v.start_utc)
        f.site_uuid,
        v.start_utc,
        f.power_kw[v.slot] AS forecast_power_kw
    FROM forecasts AS f
    CROSS JOIN
        LATERAL (
            SELECT
                d.minutes,
                f.start_utc + d.minutes * interval '1 minute' AS start_utc,
                greatest(least(d.minutes / f.resolution_minutes + 1, cardinality(f.power_kw) + 1), 0)::integer AS slot
            FROM (
                -- from the forecast's first value on; the horizon of that one is a whole number of minutes or rounded down
                SELECT
                    :'horizon_minutes'::integer::bigint
                    - floor(date_part('epoch', f.start_utc - f.timestamp_utc) / 60)::bigint AS minutes
            ) AS d
        ) AS v
    WHERE
        f.site_uuid = ANY(:'site_uuids'::uuid[])
        AND f.timestamp_utc > :'start_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer) - interval '1 minute'
        AND f.timestamp_utc < :'end_utc'::timestamptz - make_interval(mins => :'horizon_minutes'::integer)
        -- COALESCE: the planner expects that comparisons of expressions hold for few rows
        AND COALESCE(v.start_utc >= :'start_utc'::timestamptz AND v.start_utc < :'end_utc'::timestamptz, FALSE)
        AND COALESCE(v.minutes % f.resolution_minutes = 0, FALSE)
        AND f.power_kw[v.slot] IS NOT NULL
        AND f.created_utc >= :'created_after'::timestamptz
        AND f.created_utc < :'created_before'::timestamptz
        AND (
            NULLIF(:'model_name', '') IS NULL
            OR f.ml_model_uuid = ANY(ARRAY(
                SELECT m.ml_model_uuid FROM ml_models AS m
                WHERE
                    m.name = NULLIF(:'model_name', '')
                    AND (:'model_versions'::text[] = '{}' OR m.version = ANY(:'model_versions'::text[]))
            ))
        )
        AND (
            NOT :'of_site_model'::boolean
            OR (
                SELECT COALESCE(w.ml_model_uuid = f.ml_model_uuid, w.ml_model_uuid IS NULL)
                FROM sites AS w
                WHERE w.site_uuid = f.site_uuid
            )
        )
    ORDER BY f.site_uuid, v.start_utc, f.created_utc DESC, f.forecast_uuid DESC
) AS v
LEFT JOIN sites AS s ON s.site_uuid = v.site_uuid
GROUP BY v.start_utc, name
ORDER BY v.start_utc, name;
