-- Count the readings of a range by outcome, comparing each with the stored one, and sum up the power of both.
--
-- Parameters:
--   start_utc  timestamptz  first start, for partition pruning
--   end_utc    timestamptz  last start, inclusive
-- Result: row
--   outcome          text
--   reason           text
--   note             text
--   rows             bigint
--   source_power_kw  numeric
--   stored_power_kw  numeric
-- Index: generation_pkey
-- Touches: adopt_generation_rows + month_readings
-- After: adopt/generation_rows
SELECT
    o.outcome,
    o.reason,
    o.note,
    count(*) AS rows,
    COALESCE(sum(o.source_kw) FILTER (WHERE o.source_kw > '-Infinity' AND o.source_kw < 'Infinity'), 0) AS source_power_kw,
    COALESCE(sum(o.stored_kw), 0) AS stored_power_kw
FROM (
    SELECT
        CASE
            WHEN n.reason IS NOT NULL THEN 'rejected'
            WHEN
                g.end_utc = n.end_utc
                AND g.generation_power_kw = n.generation_power_kw
                AND (g.created_utc = n.created_utc OR n.created_utc IS NULL)
                THEN 'stored'
            ELSE 'conflict'
        END AS outcome,
        n.reason,
        CASE WHEN n.reason IS NULL AND n.created_utc IS NULL THEN 'created_utc is NULL: stored with the current time' END AS note,
        n.generation_power_kw::numeric AS source_kw,
        g.generation_power_kw::numeric AS stored_kw
    FROM pg_temp.adopt_generation_rows AS n
    LEFT JOIN generation AS g
        ON
            g.site_uuid = n.site_uuid
            AND g.start_utc = n.start_utc
            AND g.start_utc >= :'start_utc'::timestamptz
            AND g.start_utc <= :'end_utc'::timestamptz
            AND n.reason IS NULL
) AS o
GROUP BY o.outcome, o.reason, o.note;
