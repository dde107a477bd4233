-- Remove a site from a site group. Does nothing if the site does not belong to the group.
--
-- Parameters:
--   site_group_name  text  the name of the site group
--   site_uuid        uuid  the site
-- Result: none
-- Index: site_groups_site_group_name_key, site_group_sites_pkey
-- Touches: 2
DELETE FROM site_group_sites AS gs
USING site_groups AS g
WHERE
    g.site_group_uuid = gs.site_group_uuid
    AND g.site_group_name = :'site_group_name'::text
    AND gs.site_uuid = :'site_uuid'::uuid;
