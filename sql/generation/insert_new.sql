-- Insert the staged readings whose key is not stored, the last one per key. Rows are inserted in key order, so that
-- concurrent writers do not deadlock. The anti-join skips stored keys. ON CONFLICT skips keys that a concurrent
-- transaction stores.
--
-- Parameters:
--   start_utc  timestamptz  the first staged start, for partition pruning
--   end_utc    timestamptz  the last staged start, inclusive
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
        OFFSET 0  -- forces an index lookup per key: a join would read whole partitions for a few staged rows
    )
ORDER BY n.site_uuid, n.start_utc, n.position DESC
ON CONFLICT (site_uuid, start_utc) DO NOTHING;
