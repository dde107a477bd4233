-- Puts a site into a group; where it stands there already, nothing happens.
--
-- Parameters:
--   site_group_name  text  the group's name
--   site_uuid        uuid  the site
-- Result: none
-- Index: site_groups_site_group_name_key, sites_pkey, site_group_sites_pkey
-- Touches: 2
INSERT INTO site_group_sites (site_group_uuid, site_uuid)
SELECT
    g.site_group_uuid,
    s.site_uuid
FROM site_groups AS g
CROSS JOIN sites AS s
WHERE
    g.site_group_name = :'site_group_name'::text
    AND s.site_uuid = :'site_uuid'::uuid
ON CONFLICT (site_group_uuid, site_uuid) DO NOTHING;
