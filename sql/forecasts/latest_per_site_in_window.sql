-- Return for each given site the newest forecast that has a value with a start in the window, with all its values,
-- ordered by site. The newest forecast is the one with the latest timestamp_utc, then the latest created_utc, then the
-- greatest forecast_uuid. Sites without such a forecast are left out. Forecasts that are over before the window are not
-- read.
--
-- Parameters:
--   site_uuids      uuid[]       the sites
--   start_utc       timestamptz  start of the window, inclusive
--   end_utc         timestamptz  end of the window, exclusive; infinity for no limit
--   created_after   timestamptz  use only forecasts created at or after this time; -infinity for all
--   created_before  timestamptz  use only forecasts created before this time; infinity for all
--   model_name      text         use only forecasts of this model; empty for all
--   model_versions  text[]       use only these versions of the model; empty for all
--   of_site_model   boolean      whether to use only forecasts of the model in sites.ml_model_uuid, where a site has one
-- Result: Forecast
--   forecast_uuid         uuid
--   site_uuid             uuid
--   timestamp_utc         timestamptz
--   ml_model_uuid         uuid
--   forecast_version      text
--   created_utc           timestamptz
--   start_utc             timestamptz
--   resolution_minutes    integer
--   power_kw              real[]
--   probabilistic_levels  text[]
--   probabilistic_kw      real[]
--   end_utc               timestamptz
-- Index: forecasts_latest_idx, forecasts_key, forecasts_pkey, ml_models_name_version_key
-- Touches: 2 * unfinished_forecasts + siblings * unfinished_forecasts + versions + sites
SELECT
    f.forecast_uuid,
    f.site_uuid,
    f.timestamp_utc,
    f.ml_model_uuid,
    f.forecast_version,
    f.created_utc,
    f.start_utc,
    f.resolution_minutes,
    f.power_kw,
    f.probabilistic_levels,
    f.probabilistic_kw,
    f.end_utc
FROM (
    SELECT
        n.site_uuid,
        -- the model that the site uses; NULL for any
        CASE WHEN :'of_site_model'::boolean THEN w.ml_model_uuid END AS ml_model_uuid
    FROM (SELECT DISTINCT a.site_uuid FROM unnest(:'site_uuids'::uuid[]) AS a (site_uuid)) AS n
    LEFT JOIN sites AS w ON w.site_uuid = n.site_uuid
    OFFSET 0
) AS s
CROSS JOIN
    LATERAL (  -- noqa: ST05
        SELECT
            v.forecast_uuid,
            v.site_uuid,
            v.timestamp_utc,
            v.ml_model_uuid,
            v.forecast_version,
            v.created_utc,
            v.start_utc,
            v.resolution_minutes,
            v.power_kw,
            v.probabilistic_levels,
            v.probabilistic_kw,
            v.end_utc
        -- from the index alone, newest first
        FROM (
            SELECT
                o.timestamp_utc,
                o.created_utc,
                o.forecast_uuid
            FROM forecasts AS o
            WHERE
                o.site_uuid = s.site_uuid
                AND o.end_utc > :'start_utc'::timestamptz
                AND o.start_utc < :'end_utc'::timestamptz
                AND o.created_utc >= :'created_after'::timestamptz
                AND o.created_utc < :'created_before'::timestamptz
                AND (s.ml_model_uuid IS NULL OR o.ml_model_uuid = s.ml_model_uuid)
                AND (
                    NULLIF(:'model_name', '') IS NULL
                    OR o.ml_model_uuid = ANY(ARRAY(
                        SELECT m.ml_model_uuid FROM ml_models AS m
                        WHERE
                            m.name = NULLIF(:'model_name', '')
                            AND (:'model_versions'::text[] = '{}' OR m.version = ANY(:'model_versions'::text[]))
                    ))
                )
            ORDER BY o.timestamp_utc DESC, o.created_utc DESC, o.forecast_uuid DESC
            OFFSET 0
        ) AS c
        -- of these, the first that has a value in the window
        CROSS JOIN
            LATERAL (
                SELECT
                    o.forecast_uuid,
                    o.site_uuid,
                    o.timestamp_utc,
                    o.ml_model_uuid,
                    o.forecast_version,
                    o.created_utc,
                    o.start_utc,
                    o.resolution_minutes,
                    o.power_kw,
                    o.probabilistic_levels,
                    o.probabilistic_kw,
                    o.end_utc
                FROM forecasts AS o
                WHERE
                    o.site_uuid = s.site_uuid
                    AND o.timestamp_utc = c.timestamp_utc
                    AND o.forecast_uuid = c.forecast_uuid
                LIMIT 1  -- there is but one; so it is looked up, never hashed
            ) AS v
        WHERE
            cardinality(
                array_remove(
                    v.power_kw[
                        (
                            ceil(
                                date_part('epoch', GREATEST(v.start_utc, :'start_utc'::timestamptz) - v.start_utc)
                                / (60 * v.resolution_minutes)
                            )::integer + 1
                        ):(
                            ceil(
                                date_part('epoch', LEAST(v.end_utc, :'end_utc'::timestamptz) - v.start_utc)
                                / (60 * v.resolution_minutes)
                            )::integer
                        )
                    ],
                    NULL
                )
            ) > 0
        ORDER BY c.timestamp_utc DESC, c.created_utc DESC, c.forecast_uuid DESC
        LIMIT 1
    ) AS f
ORDER BY f.site_uuid;
