-- List the readings of a range that are not stored exactly as in the source.
--
-- Parameters:
--   start_utc  timestamptz  first start, for partition pruning
--   end_utc    timestamptz  last start, inclusive
-- Result: row
--   outcome              text
--   reason               text
--   generation_uuid      uuid
--   site_uuid            uuid
--   start_utc            text
--   end_utc              text
--   generation_power_kw  double precision
--   created_utc          text
--   stored_power_kw      double precision
-- Index: generation_pkey
-- Touches: adopt_generation_rows + month_readings
-- After: adopt/generation_rows
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
    n.generation_uuid,
    n.site_uuid,
    n.start_utc::text AS start_utc,
    n.end_utc::text AS end_utc,
    n.generation_power_kw,
    n.created_utc::text AS created_utc,
    g.generation_power_kw AS stored_power_kw
FROM pg_temp.adopt_generation_rows AS n
LEFT JOIN generation AS g
    ON
        g.site_uuid = n.site_uuid
        AND g.start_utc = n.start_utc
        AND g.start_utc >= :'start_utc'::timestamptz
        AND g.start_utc <= :'end_utc'::timestamptz
        AND n.reason IS NULL
WHERE
    n.reason IS NOT NULL
    OR (
        g.end_utc = n.end_utc
        AND g.generation_power_kw = n.generation_power_kw
        AND (g.created_utc = n.created_utc OR n.created_utc IS NULL)
    ) IS NOT TRUE;
