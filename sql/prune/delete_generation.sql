-- Delete a batch of the readings in a window, starting at a site. The rows are locked in key order first, as inserts
-- do, which prevents deadlocks. The DELETE then scans the range up to the last of them, without a join, because the
-- planner cannot know how small the batch is. Each batch starts at the last site of the batch before, so it skips few
-- dead rows.
--
-- Parameters:
--   from_site   uuid         the first site
--   start_utc   timestamptz  first start; -infinity: unbounded
--   end_utc     timestamptz  end of the window, exclusive
--   batch_rows  integer      most rows to delete
-- Result: row
--   site_uuid  uuid  site of each deleted reading
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
