-- Store the sites whose rows to archive.
--
-- Parameters:
--   site_uuids  uuid[]  the sites
-- Result: none
-- Index: none (no row is read)
-- Touches: none
-- After: prune/sites_staging
INSERT INTO pg_temp.pruned_sites (site_uuid)
SELECT u.site_uuid
FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid);
