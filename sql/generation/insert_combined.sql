-- Give staged readings with the same site and start their mean or total power, so that any of them can be stored. They
-- have the same end: insert_conflict was run before.
--
-- Parameters:
--   combine  text  mean or sum
-- Result: none
-- Index: none (the staging table has no index)
-- Touches: 2 * generation_staging
-- After: generation/insert_staging
UPDATE pg_temp.generation_staging AS n
SET generation_power_kw = c.power_kw
FROM (
    SELECT
        s.site_uuid,
        s.start_utc,
        CASE :'combine'::text
            WHEN 'sum' THEN sum(s.generation_power_kw ORDER BY s.position DESC)
            -- rounding must not take the mean of equal values out of their range
            ELSE GREATEST(
                LEAST(avg(s.generation_power_kw ORDER BY s.position DESC), max(s.generation_power_kw)),
                min(s.generation_power_kw)
            )
        END AS power_kw
    FROM pg_temp.generation_staging AS s
    GROUP BY s.site_uuid, s.start_utc
    HAVING count(*) > 1
) AS c
WHERE n.site_uuid = c.site_uuid AND n.start_utc = c.start_utc;
