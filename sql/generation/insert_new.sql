-- Insert the staged readings whose key is not stored, the last one per key, and compare the others with the stored
-- ones. Rows are inserted in key order, so that concurrent writers do not deadlock. ON CONFLICT skips keys that a
-- concurrent transaction stores.
--
-- Parameters:
--   start_utc  timestamptz  the first staged start, for partition pruning
--   end_utc    timestamptz  the last staged start, inclusive
-- Result: row
--   inserted   bigint  how many readings were inserted
--   new        bigint  staged readings whose key was not stored; more than were inserted if keys are repeated
--   differing  bigint  staged readings whose power or end is not that of the reading that was stored
-- Index: generation_pkey
-- Touches: 2 * generation_staging
-- After: generation/insert_staging
WITH compared AS MATERIALIZED (
    SELECT
        n.site_uuid,
        n.start_utc,
        n.end_utc,
        n.generation_power_kw,
        n.position,
        -- an index lookup per key: a join would read whole partitions for a few staged rows
        (
            SELECT g.end_utc <> n.end_utc OR g.generation_power_kw <> n.generation_power_kw
            FROM generation AS g
            WHERE
                g.site_uuid = n.site_uuid
                AND g.start_utc = n.start_utc
                AND g.start_utc >= :'start_utc'::timestamptz
                AND g.start_utc <= :'end_utc'::timestamptz
        ) AS differs
    FROM pg_temp.generation_staging AS n
),

inserted AS (
    INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
    SELECT DISTINCT ON (c.site_uuid, c.start_utc)
        c.site_uuid,
        c.start_utc,
        c.end_utc,
        c.generation_power_kw
    FROM compared AS c
    WHERE c.differs IS NULL
    ORDER BY c.site_uuid, c.start_utc, c.position DESC
    ON CONFLICT (site_uuid, start_utc) DO NOTHING
    RETURNING 1 AS one
)

SELECT
    (SELECT count(*) FROM inserted) AS inserted,
    count(*) FILTER (WHERE c.differs IS NULL) AS new,
    count(*) FILTER (WHERE c.differs) AS differing
FROM compared AS c;
