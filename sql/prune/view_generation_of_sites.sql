-- Create the view of the readings to archive, of some sites. The array makes the planner use the index of the key.
--
-- Parameters: none
-- Result: none
-- Index: none (no row is read)
-- Touches: none
-- After: prune/sites_staging
CREATE OR REPLACE TEMPORARY VIEW generation_pruned AS
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM generation AS g
WHERE g.site_uuid = ANY(ARRAY(SELECT s.site_uuid FROM pg_temp.pruned_sites AS s));
