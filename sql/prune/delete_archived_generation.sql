-- Delete readings that are still equal to the archived ones, in every column. A reading that was changed in the
-- meantime is kept. The readings are looked up and locked one by one in key order, the order of the archive. The
-- DELETE then scans the rows of their sites from the first to the last of them, because the planner cannot know how small
-- the batch is. IS TRUE makes the planner use a hashed subplan; a join might compare each row with each other.
--
-- Parameters:
--   site_uuids           uuid[]              the archived readings, with the next four parameters
--   starts_utc           timestamptz[]
--   ends_utc             timestamptz[]
--   generation_power_kw  double precision[]
--   created_utc          timestamptz[]
--   start_utc            timestamptz         the window of the archive, for partition pruning
--   end_utc              timestamptz
-- Result: row
--   site_uuid  uuid  site of each deleted reading
-- Index: generation_pkey
-- Touches: 2 * site_uuids (and newer readings between them)
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
    g.site_uuid = ANY(ARRAY(SELECT DISTINCT b.site_uuid FROM batch AS b))
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
