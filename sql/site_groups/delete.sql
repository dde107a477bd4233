-- Deletes a site group and its memberships; its sites stay. Refused (users_site_group_uuid_fkey) while users are in
-- it.
--
-- Parameters:
--   site_group_name  text  the group's name
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
