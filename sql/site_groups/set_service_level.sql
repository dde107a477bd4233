-- Set the service level of a site group.
--
-- Parameters:
--   site_group_name  text     the name of the site group
--   level            integer  the new level, at least 0
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: 1
UPDATE site_groups
SET service_level = :'level'::integer
WHERE site_group_name = :'site_group_name'::text
RETURNING
    site_group_uuid,
    site_group_name,
    service_level,
    created_utc;
