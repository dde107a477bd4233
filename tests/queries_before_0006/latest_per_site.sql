-- Return the newest forecast of each given site with all its values, ordered by site. The newest forecast is the one
-- with the latest timestamp_utc, then the latest created_utc, then the greatest forecast_uuid. Sites without forecasts
-- are left out. Searches the newest partition first, and an older one only if it found no forecast of the site.
--
-- Parameters:
--   site_uuids  uuid[]  the sites
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
-- Index: forecasts_key
-- Touches: site_uuids + siblings * site_uuids
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
FROM (SELECT DISTINCT n.site_uuid FROM unnest(:'site_uuids'::uuid[]) AS n (site_uuid)) AS s
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
        WHERE o.site_uuid = s.site_uuid
        ORDER BY o.timestamp_utc DESC, o.created_utc DESC, o.forecast_uuid DESC
        LIMIT 1
    ) AS f
ORDER BY f.site_uuid;
