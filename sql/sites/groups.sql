-- Return the site groups that a site belongs to, ordered by name.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_group_sites_site_uuid_idx, site_groups_pkey
-- Touches: 2 * result
SELECT
    g.site_group_uuid,
    g.site_group_name,
    g.service_level,
    g.created_utc
FROM site_group_sites AS gs
JOIN site_groups AS g ON g.site_group_uuid = gs.site_group_uuid
WHERE gs.site_uuid = :'site_uuid'::uuid
ORDER BY g.site_group_name;
