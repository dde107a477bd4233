-- Check whether a forecast of any of the given sites and timestamps is already stored, and return the transaction's
-- time. If none is stored, the new forecasts are copied straight into the table.
--
-- Parameters:
--   site_uuids      uuid[]         the sites
--   timestamps_utc  timestamptz[]  the timestamp of a new forecast, for each element of site_uuids
--   start_utc       timestamptz    the first timestamp, for partition pruning
--   end_utc         timestamptz    the last timestamp, inclusive
-- Result: row
--   taken    boolean
--   now_utc  timestamptz
-- Index: forecasts_key
-- Touches: 1
SELECT
    EXISTS(
        SELECT
        FROM unnest(:'site_uuids'::uuid[], :'timestamps_utc'::timestamptz[]) AS n (site_uuid, timestamp_utc)
        CROSS JOIN LATERAL (
            SELECT
            FROM forecasts AS f
            WHERE
                f.site_uuid = n.site_uuid
                AND f.timestamp_utc = n.timestamp_utc
                AND f.timestamp_utc >= :'start_utc'::timestamptz
                AND f.timestamp_utc <= :'end_utc'::timestamptz
            LIMIT 1
        ) AS stored
    ) AS taken,
    now() AS now_utc;
