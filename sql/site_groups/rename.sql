-- Give a site group another name. Fails with a violation of site_groups_site_group_name_key if the name is taken.
--
-- Parameters:
--   site_group_name  text  the name of the site group
--   new_name         text  the new name
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: 1
UPDATE site_groups
SET site_group_name = :'new_name'::text
WHERE site_group_name = :'site_group_name'::text
RETURNING
    site_group_uuid,
    site_group_name,
    service_level,
    created_utc;
