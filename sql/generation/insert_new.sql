-- The staged readings whose key is not stored yet, the last one of each key. In the order of the key, so that two
-- writers wait for each other in one order. The anti-join passes over what is there; ON CONFLICT catches what another
-- writer stores at the same moment.
--
-- Parameters:
--   start_utc  timestamptz  the first start that is staged: prunes the partitions
--   end_utc    timestamptz  the last start that is staged
-- Result: none
-- Index: generation_pkey
-- Touches: 2 * generation_staging
-- After: generation/insert_staging
INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
SELECT DISTINCT ON (n.site_uuid, n.start_utc)
    n.site_uuid,
    n.start_utc,
    n.end_utc,
    n.generation_power_kw
FROM pg_temp.generation_staging AS n
WHERE
    NOT EXISTS (
        SELECT
        FROM generation AS g
        WHERE
            g.site_uuid = n.site_uuid
            AND g.start_utc = n.start_utc
            AND g.start_utc >= :'start_utc'::timestamptz
            AND g.start_utc <= :'end_utc'::timestamptz
        OFFSET 0  -- looked up key by key: a join would read the months of the window whole for a few staged rows
    )
ORDER BY n.site_uuid, n.start_utc, n.position DESC
ON CONFLICT (site_uuid, start_utc) DO NOTHING;
