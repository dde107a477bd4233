-- Count the staged forecasts that differ from the stored one, as insert_replaced compares them. It is run after
-- insert_new, and only if that skipped forecasts: every staged key is stored by then.
--
-- Parameters:
--   start_utc  timestamptz  the first staged timestamp, for partition pruning
--   end_utc    timestamptz  the last staged timestamp, inclusive
-- Result: row
--   differing  bigint  how many
-- Index: forecasts_key
-- Touches: forecasts_staging + siblings * forecasts_staging
-- After: forecasts/insert_staging
SELECT count(*) AS differing
FROM pg_temp.forecasts_staging AS n
WHERE
    EXISTS (
        SELECT
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
        OFFSET 0  -- forces an index lookup per key: a join would read whole partitions for a few staged rows
    );
