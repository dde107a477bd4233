-- Deletes readings that are stored as the archive has them, to the last column; one that was changed since stays. They
-- are looked up and locked one by one, in the order of the archive, which is that of the key, and then deleted between
-- the first and the last one of them: no planner knows how small a batch is. IS TRUE keeps the look into the batch a
-- hash, where a join might compare each row with each.
--
-- Parameters:
--   site_uuids           uuid[]              as read from the archive, one after the other; likewise the next four
--   starts_utc           timestamptz[]
--   ends_utc             timestamptz[]
--   generation_power_kw  double precision[]
--   created_utc          timestamptz[]
--   start_utc            timestamptz         the window of the archive: prunes the partitions
--   end_utc              timestamptz
-- Result: row
--   site_uuid  uuid  of each reading that is gone
-- Index: generation_pkey
-- Touches: 2 * site_uuids (and readings between these that came since)
WITH archived AS (
    SELECT
        a.site_uuid,
        a.start_utc,
        a.end_utc,
        a.generation_power_kw,
        a.created_utc
    FROM
        unnest(
            :'site_uuids'::uuid[],
            :'starts_utc'::timestamptz[],
            :'ends_utc'::timestamptz[],
            :'generation_power_kw'::double precision[],
            :'created_utc'::timestamptz[]
        ) AS a (site_uuid, start_utc, end_utc, generation_power_kw, created_utc)
),

batch AS MATERIALIZED (
    SELECT
        g.site_uuid,
        g.start_utc
    FROM archived AS a
    CROSS JOIN LATERAL (
        SELECT
            r.site_uuid,
            r.start_utc
        FROM generation AS r
        WHERE
            r.site_uuid = a.site_uuid
            AND r.start_utc = a.start_utc
            AND r.end_utc = a.end_utc
            AND r.generation_power_kw = a.generation_power_kw
            AND r.created_utc = a.created_utc
            AND r.start_utc >= :'start_utc'::timestamptz
            AND r.start_utc < :'end_utc'::timestamptz
        FOR UPDATE
    ) AS g
),

first AS MATERIALIZED (
    SELECT
        b.site_uuid,
        b.start_utc
    FROM batch AS b
    ORDER BY b.site_uuid, b.start_utc
    LIMIT 1
),

final AS MATERIALIZED (
    SELECT
        b.site_uuid,
        b.start_utc
    FROM batch AS b
    ORDER BY b.site_uuid DESC, b.start_utc DESC
    LIMIT 1
)

DELETE FROM generation AS g
WHERE
    g.site_uuid >= (SELECT f.site_uuid FROM first AS f)
    AND g.site_uuid <= (SELECT f.site_uuid FROM final AS f)
    AND (g.site_uuid, g.start_utc) >= ((SELECT f.site_uuid FROM first AS f), (SELECT f.start_utc FROM first AS f))
    AND (g.site_uuid, g.start_utc) <= ((SELECT f.site_uuid FROM final AS f), (SELECT f.start_utc FROM final AS f))
    AND ((g.site_uuid, g.start_utc) IN (
        SELECT
            b.site_uuid,
            b.start_utc
        FROM batch AS b
    )) IS TRUE
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
RETURNING g.site_uuid;
