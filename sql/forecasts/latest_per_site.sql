-- Return the newest forecast of each given site with all its values, ordered by site. The newest forecast is the one
-- with the latest timestamp_utc, then the latest created_utc, then the greatest forecast_uuid. Sites without forecasts
-- are left out. Searches from the newest forecast to the oldest, until it finds one that counts.
--
-- Parameters:
--   site_uuids      uuid[]       the sites
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
-- Index: forecasts_key, ml_models_name_version_key
-- Touches: 2 * site_uuids + 2 * siblings * site_uuids + versions + sites
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
        LIMIT 1
    ) AS f
ORDER BY f.site_uuid;
