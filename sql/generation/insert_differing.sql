-- Count the staged readings whose power or end is not that of the stored reading, where keys are repeated, or a
-- concurrent transaction inserted one. Every staged key is stored by then.
--
-- Parameters:
--   start_utc  timestamptz  the first staged start, for partition pruning
--   end_utc    timestamptz  the last staged start, inclusive
-- Result: row
--   differing  bigint  how many
-- Index: generation_pkey
-- Touches: 2 * generation_staging
-- After: generation/insert_staging
SELECT count(*) AS differing
FROM pg_temp.generation_staging AS n
WHERE
    EXISTS (
        SELECT
        FROM generation AS g
        WHERE
            g.site_uuid = n.site_uuid
            AND g.start_utc = n.start_utc
            AND g.start_utc >= :'start_utc'::timestamptz
            AND g.start_utc <= :'end_utc'::timestamptz
            AND (g.end_utc <> n.end_utc OR g.generation_power_kw <> n.generation_power_kw)
        OFFSET 0  -- forces an index lookup per key: a join would read whole partitions for a few staged rows
    );
