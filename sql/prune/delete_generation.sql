-- Deletes the first readings of a window, from a site on. They are locked in the order of the key first, as writers do,
-- so that nobody waits in a circle; and then deleted as what lies up to the last one of them, which needs no join, for
-- no planner knows how small a batch is. Beginning at the last site of the batch before, each batch passes over few
-- rows that are gone already.
--
-- Parameters:
--   from_site   uuid         the site to begin with
--   start_utc   timestamptz  readings that start here or later; -infinity: from the first one on
--   end_utc     timestamptz  readings that start before this
--   batch_rows  integer      so many at most
-- Result: row
--   site_uuid  uuid  of each reading that is gone
-- Index: generation_pkey
-- Touches: 2 * result
WITH batch AS MATERIALIZED (
    SELECT
        g.site_uuid,
        g.start_utc
    FROM generation AS g
    WHERE
        g.site_uuid >= :'from_site'::uuid
        AND g.start_utc >= :'start_utc'::timestamptz
        AND g.start_utc < :'end_utc'::timestamptz
    ORDER BY g.site_uuid, g.start_utc
    LIMIT :'batch_rows'::integer
    FOR UPDATE
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
    g.site_uuid >= :'from_site'::uuid
    AND g.site_uuid <= (SELECT f.site_uuid FROM final AS f)
    AND (g.site_uuid, g.start_utc) <= ((SELECT f.site_uuid FROM final AS f), (SELECT f.start_utc FROM final AS f))
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
RETURNING g.site_uuid;
