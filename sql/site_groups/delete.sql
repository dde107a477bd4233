-- Delete a site group and its memberships. Its sites are kept. Fails with a violation of users_site_group_uuid_fkey if
-- the group has users.
--
-- Parameters:
--   site_group_name  text  the name of the site group
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key, users_site_group_uuid_idx, site_group_sites_pkey
-- Touches: 1
DELETE FROM site_groups
WHERE site_group_name = :'site_group_name'::text
RETURNING
    site_group_uuid,
    site_group_name,
    service_level,
    created_utc;
