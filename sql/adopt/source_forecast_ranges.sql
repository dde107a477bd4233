-- Run on the source: divide the forecasts into ranges of timestamp_utc with about `rows` forecasts each. Forecasts of
-- one timestamp, and so those of one key, are in the same range.
--
-- Parameters:
--   rows  integer  target number of forecasts in a range
-- Result: row
--   start_utc  text
--   end_utc    text
--   months     date[]
--   rows       bigint
-- Index: none (all forecasts)
-- Touches: forecasts
SELECT
    min(h.timestamp_utc)::text AS start_utc,
    max(h.timestamp_utc)::text AS end_utc,
    array_agg(DISTINCT date_trunc('month', h.timestamp_utc)::date) FILTER (
        WHERE h.timestamp_utc >= '1970-01-01' AND h.timestamp_utc < '2100-01-01'
    ) AS months,
    sum(h.rows)::bigint AS rows
FROM (
    SELECT
        f.timestamp_utc,
        f.rows,
        (sum(f.rows) OVER (ORDER BY f.timestamp_utc) - f.rows)::bigint / :'rows'::integer AS number
    FROM (
        SELECT
            t.timestamp_utc,
            count(*) AS rows
        FROM forecasts AS t
        GROUP BY t.timestamp_utc
    ) AS f
) AS h
GROUP BY h.number
ORDER BY h.number;
