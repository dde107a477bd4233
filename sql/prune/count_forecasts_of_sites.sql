-- Count the forecasts of the given sites that a prune would delete.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  first timestamp; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
-- Result: row
--   count  bigint
-- Index: forecasts_key
-- Touches: window_forecasts
SELECT count(*) AS count
FROM forecasts AS f
WHERE
    f.site_uuid = ANY(:'site_uuids'::uuid[])
    AND f.timestamp_utc >= :'start_utc'::timestamptz
    AND f.timestamp_utc < :'end_utc'::timestamptz;
