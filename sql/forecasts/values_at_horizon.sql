-- Return for each site and start in a time window the value with exactly the given horizon: as pieces of forecasts (see
-- latest_values), which have one value each. If several forecasts have a value, the forecast with the latest created_utc
-- is used, then the one with the greatest forecast_uuid.
--
-- Parameters:
--   site_uuids       uuid[]       the sites
--   start_utc        timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc          timestamptz  end of the window, exclusive; infinity for no limit
--   created_after    timestamptz  use only forecasts created at or after this time; -infinity for all
--   created_before   timestamptz  use only forecasts created before this time; infinity for all
--   horizon_minutes  integer      whole minutes from the forecast's timestamp to the value's start, rounded down
--   model_name       text         use only forecasts of this model; empty for all
--   model_versions   text[]       use only these versions of the model; empty for all
--   of_site_model    boolean      whether to use only forecasts of the model in sites.ml_model_uuid, where a site has one
--   probabilistic    boolean      whether to return the probabilistic values; otherwise they are NULL
-- Result: row
--   site_uuid             uuid
--   start_utc             timestamptz
--   resolution_minutes    integer
--   horizon_minutes       integer
--   timestamp_utc         timestamptz
--   created_utc           timestamptz
--   forecast_uuid         uuid
--   forecast_version      text
--   model_name            text
--   model_version         text
--   power_kw              real[]
--   probabilistic_levels  text[]
--   probabilistic_kw      real[]
-- Index: forecasts_key, ml_models_name_version_key, sites_pkey
-- Touches: 3 * window_forecasts + versions + ml_models
SELECT
    p.site_uuid,
    p.start_utc,
    p.resolution_minutes,
    :'horizon_minutes'::integer AS horizon_minutes,
    p.timestamp_utc,
    p.created_utc,
    p.forecast_uuid,
    p.forecast_version,
    m.name AS model_name,
    m.version AS model_version,
    p.power_kw,
    CASE WHEN :'probabilistic'::boolean THEN p.probabilistic_levels END AS probabilistic_levels,
    CASE WHEN :'probabilistic'::boolean THEN p.probabilistic_kw END AS probabilistic_kw
FROM (
    SELECT DISTINCT ON (f.site_uuid, v.start_utc)
        f.site_uuid,
        v.start_utc,
        f.resolution_minutes,
        f.timestamp_utc,
        f.created_utc,
        f.forecast_uuid,
        f.forecast_version,
        f.ml_model_uuid,
        ARRAY[f.power_kw[v.slot]] AS power_kw,
        f.probabilistic_levels,
        f.probabilistic_kw[:][v.slot:v.slot] AS probabilistic_kw
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
) AS p
LEFT JOIN ml_models AS m ON m.ml_model_uuid = p.ml_model_uuid;
