-- Delete a site, last step: delete the site, its inverters and its site group memberships.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: none
-- Index: sites_pkey, site_history_pkey, inverters_site_uuid_idx, site_group_sites_site_uuid_idx
-- Touches: 1
DELETE FROM sites
WHERE site_uuid = :'site_uuid'::uuid;
