-- Count the forecasts that forecasts/delete.sql would delete.
--
-- Parameters:
--   site_uuids      uuid[]       the sites
--   start_utc       timestamptz  first timestamp of the forecasts; -infinity for no limit
--   end_utc         timestamptz  end of the timestamps, exclusive; infinity for no limit
--   created_after   timestamptz  only forecasts created at this time or later; -infinity for all
--   model_name      text         only forecasts of this model; empty for all
--   model_versions  text[]       only forecasts of these versions of the model; an empty list for all
-- Result: row
--   count  bigint
-- Index: forecasts_key, forecasts_latest_idx, ml_models_name_version_key
-- Touches: month_forecasts + versions
SELECT count(*) AS count
FROM forecasts AS f
WHERE
    f.site_uuid = ANY(:'site_uuids'::uuid[])
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz
    AND f.created_utc >= :'created_after'::timestamptz
    AND (
        NULLIF(:'model_name', '') IS NULL
        OR f.ml_model_uuid = ANY(ARRAY(
            SELECT m.ml_model_uuid FROM ml_models AS m
            WHERE
                m.name = NULLIF(:'model_name', '')
                AND (cardinality(:'model_versions'::text[]) = 0 OR m.version = ANY(:'model_versions'::text[]))
        ))
    );
