-- Whether a forecast is stored already of one of the given sites at the given timestamp; and what time it is for the
-- transaction. Where none is, the forecasts go straight into the table by COPY.
--
-- Parameters:
--   site_uuids      uuid[]         the sites
--   timestamps_utc  timestamptz[]  for each site the timestamp of a forecast to be
--   start_utc       timestamptz    the first timestamp of all: prunes the partitions
--   end_utc         timestamptz    the last timestamp of all
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
