-- Run on the source: its forecasts cut into ranges of timestamp_utc of about `rows` forecasts each; those of one timestamp stay
-- together, so that several forecasts of one key do.
--
-- Parameters:
--   rows  integer  forecasts in a range, or a few more
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
