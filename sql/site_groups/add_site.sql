-- Add a site to a site group. Does nothing if the site already belongs to the group.
--
-- Parameters:
--   site_group_name  text  the name of the site group
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
