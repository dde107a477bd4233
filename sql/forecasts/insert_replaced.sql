-- Replace stored forecasts by the staged ones, if they differ. The stored forecasts keep their forecast_uuid. After
-- insert_new, every staged key is stored. Rows are locked in key order before the update, so that concurrent writers do
-- not deadlock.
--
-- Parameters:
--   start_utc  timestamptz  the first staged timestamp, for partition pruning
--   end_utc    timestamptz  the last staged timestamp, inclusive
-- Result: none
-- Index: forecasts_key, forecasts_pkey
-- Touches: 2 * forecasts_staging + siblings * forecasts_staging
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
    FROM (
        SELECT
            s.site_uuid,
            s.timestamp_utc,
            s.ml_model_uuid,
            s.forecast_version,
            s.created_utc,
            s.start_utc,
            s.resolution_minutes,
            s.power_kw,
            s.probabilistic_levels,
            s.probabilistic_kw
        FROM pg_temp.forecasts_staging AS s
        ORDER BY s.site_uuid, s.timestamp_utc, s.ml_model_uuid NULLS FIRST, s.forecast_version COLLATE "C"  -- noqa: RF03
    ) AS n
    -- LATERAL forces an index lookup per key: a join would read whole partitions for a few staged rows
    CROSS JOIN LATERAL (
        SELECT o.forecast_uuid
        FROM forecasts AS o
        WHERE
            o.site_uuid = n.site_uuid
            AND o.timestamp_utc = n.timestamp_utc
            AND o.ml_model_uuid IS NOT DISTINCT FROM n.ml_model_uuid
            AND o.forecast_version = n.forecast_version
            AND o.timestamp_utc >= :'start_utc'::timestamptz
            AND o.timestamp_utc <= :'end_utc'::timestamptz
            AND (
                o.start_utc <> n.start_utc
                OR o.resolution_minutes <> n.resolution_minutes
                OR o.power_kw <> n.power_kw
                OR o.probabilistic_levels IS DISTINCT FROM n.probabilistic_levels
                OR o.probabilistic_kw IS DISTINCT FROM n.probabilistic_kw
                OR o.created_utc <> n.created_utc
            )
        FOR NO KEY UPDATE
    ) AS f
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
    AND f.forecast_uuid = ANY(ARRAY(SELECT a.forecast_uuid FROM changed AS a))  -- an index lookup, as above
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc <= :'end_utc'::timestamptz;
