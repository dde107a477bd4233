-- Create a site group.
--
-- Parameters:
--   site_group_name  text     the name of the site group
--   service_level    integer  the level of service that its users get, at least 0
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: none
INSERT INTO site_groups (site_group_name, service_level)
VALUES (:'site_group_name'::text, :'service_level'::integer)
RETURNING
    site_group_uuid,
    site_group_name,
    service_level,
    created_utc;
