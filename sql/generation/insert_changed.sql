-- The stored readings that the staged ones correct, the last one of each key. After insert_new every key is stored,
-- by whomever; the rows are locked in the order of the key first, so that two writers wait for each other in one
-- order.
--
-- Parameters:
--   start_utc  timestamptz  the first start that is staged: prunes the partitions
--   end_utc    timestamptz  the last start that is staged
-- Result: none
-- Index: generation_pkey
-- Touches: 3 * generation_staging
-- After: generation/insert_staging
WITH changed AS MATERIALIZED (
    SELECT
        n.site_uuid,
        n.start_utc,
        n.end_utc,
        n.generation_power_kw
    FROM (
        SELECT DISTINCT ON (s.site_uuid, s.start_utc)
            s.site_uuid,
            s.start_utc,
            s.end_utc,
            s.generation_power_kw
        FROM pg_temp.generation_staging AS s
        ORDER BY s.site_uuid, s.start_utc, s.position DESC
    ) AS n
    JOIN generation AS g ON g.site_uuid = n.site_uuid AND g.start_utc = n.start_utc
    WHERE
        (g.end_utc <> n.end_utc OR g.generation_power_kw <> n.generation_power_kw)
        AND g.start_utc >= :'start_utc'::timestamptz
        AND g.start_utc <= :'end_utc'::timestamptz
    ORDER BY n.site_uuid, n.start_utc
    FOR NO KEY UPDATE OF g
)

UPDATE generation AS g
SET
    end_utc = c.end_utc,
    generation_power_kw = c.generation_power_kw,
    created_utc = now()
FROM changed AS c
WHERE
    g.site_uuid = c.site_uuid
    AND g.start_utc = c.start_utc
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc <= :'end_utc'::timestamptz;
