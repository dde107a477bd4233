-- Run on the source: divide the readings into time ranges of about `rows` readings each, at full hours, and sum up
-- their power. The sums are compared with those of the stored readings at the end.
--
-- Parameters:
--   rows  integer  target number of readings in a range
-- Result: row
--   start_utc  text
--   end_utc    text
--   months     date[]
--   rows       bigint
--   power_kw   numeric
-- Index: none (all readings)
-- Touches: generation
SELECT
    min(h.start_utc)::text AS start_utc,
    max(h.end_utc)::text AS end_utc,
    array_agg(DISTINCT date_trunc('month', h.hour)::date) FILTER (WHERE h.hour >= '1970-01-01' AND h.hour < '2100-01-01') AS months,
    sum(h.rows)::bigint AS rows,
    COALESCE(sum(h.power_kw), 0) AS power_kw
FROM (
    SELECT
        g.hour,
        g.rows,
        g.power_kw,
        g.start_utc,
        g.end_utc,
        (sum(g.rows) OVER (ORDER BY g.hour) - g.rows)::bigint / :'rows'::integer AS number
    FROM (
        SELECT
            date_trunc('hour', t.start_utc) AS hour,
            min(t.start_utc) AS start_utc,
            max(t.start_utc) AS end_utc,
            count(*) AS rows,
            sum(t.generation_power_kw::numeric) FILTER (
                WHERE t.generation_power_kw > '-Infinity' AND t.generation_power_kw < 'Infinity'
            ) AS power_kw
        FROM generation AS t
        GROUP BY date_trunc('hour', t.start_utc)
    ) AS g
) AS h
GROUP BY h.number
ORDER BY h.number;
