-- The staged forecasts whose key is not stored yet, in the order of the key, so that two writers wait for each other
-- in one order. The anti-join passes over what is there; ON CONFLICT catches what another writer stores at the same
-- moment.
--
-- Parameters:
--   start_utc  timestamptz  the first timestamp that is staged: prunes the partitions
--   end_utc    timestamptz  the last timestamp that is staged
-- Result: none
-- Index: forecasts_key
-- Touches: forecasts_staging + siblings * forecasts_staging
-- After: forecasts/insert_staging
INSERT INTO forecasts (
    site_uuid,
    timestamp_utc,
    ml_model_uuid,
    forecast_version,
    created_utc,
    start_utc,
    resolution_minutes,
    power_kw,
    probabilistic_levels,
    probabilistic_kw
)
SELECT
    n.site_uuid,
    n.timestamp_utc,
    n.ml_model_uuid,
    n.forecast_version,
    COALESCE(n.created_utc, now()),
    n.start_utc,
    n.resolution_minutes,
    n.power_kw,
    n.probabilistic_levels,
    n.probabilistic_kw
FROM pg_temp.forecasts_staging AS n
WHERE
    NOT EXISTS (
        SELECT
        FROM forecasts AS f
        WHERE
            f.site_uuid = n.site_uuid
            AND f.timestamp_utc = n.timestamp_utc
            AND f.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND f.forecast_version = n.forecast_version
            AND f.timestamp_utc >= :'start_utc'::timestamptz
            AND f.timestamp_utc <= :'end_utc'::timestamptz
        OFFSET 0  -- looked up key by key: a join would read the months of the window whole for a few staged rows
    )
ORDER BY n.site_uuid, n.timestamp_utc, n.ml_model_uuid NULLS FIRST, n.forecast_version COLLATE "C"  -- noqa: RF03
ON CONFLICT (site_uuid, timestamp_utc, ml_model_uuid, forecast_version) DO NOTHING;
