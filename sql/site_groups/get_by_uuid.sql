-- Return the site group with this UUID.
--
-- Parameters:
--   site_group_uuid  uuid  the site group
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_pkey
-- Touches: 1
SELECT
    g.site_group_uuid,
    g.site_group_name,
    g.service_level,
    g.created_utc
FROM site_groups AS g
WHERE g.site_group_uuid = :'site_group_uuid'::uuid;
