-- The stored forecasts that the staged ones replace, where they differ; they keep their forecast_uuid. After
-- insert_new every key is stored, by whomever; the rows are locked in the order of the key first, so that two writers
-- wait for each other in one order.
--
-- Parameters:
--   start_utc  timestamptz  the first timestamp that is staged: prunes the partitions
--   end_utc    timestamptz  the last timestamp that is staged
-- Result: none
-- Index: forecasts_key
-- After: forecasts/insert_staging
WITH changed AS MATERIALIZED (
    SELECT
        f.forecast_uuid,
        n.site_uuid,
        n.timestamp_utc,
        n.created_utc,
        n.start_utc,
        n.resolution_minutes,
        n.power_kw,
        n.probabilistic_levels,
        n.probabilistic_kw
    FROM pg_temp.forecasts_staging AS n
    JOIN forecasts AS f
        ON
            f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND f.forecast_version = n.forecast_version
    WHERE
        f.timestamp_utc >= :'start_utc'::timestamptz
        AND f.timestamp_utc <= :'end_utc'::timestamptz
        AND (
            f.start_utc <> n.start_utc
            OR f.resolution_minutes <> n.resolution_minutes
            OR f.power_kw <> n.power_kw
            OR f.probabilistic_levels IS DISTINCT FROM n.probabilistic_levels
            OR f.probabilistic_kw IS DISTINCT FROM n.probabilistic_kw
            OR f.created_utc <> n.created_utc
        )
    ORDER BY n.site_uuid, n.timestamp_utc, n.ml_model_uuid NULLS FIRST, n.forecast_version COLLATE "C"  -- noqa: RF02
    FOR NO KEY UPDATE OF f
)

UPDATE forecasts AS f
SET
    created_utc = COALESCE(c.created_utc, now()),
    start_utc = c.start_utc,
    resolution_minutes = c.resolution_minutes,
    power_kw = c.power_kw,
    probabilistic_levels = c.probabilistic_levels,
    probabilistic_kw = c.probabilistic_kw
FROM changed AS c
WHERE
    f.site_uuid = c.site_uuid
    AND f.timestamp_utc = c.timestamp_utc
    AND f.forecast_uuid = c.forecast_uuid
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc <= :'end_utc'::timestamptz;
