-- Return the users of a site group, ordered by email.
--
-- Parameters:
--   site_group_name  text  the name of the site group
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key, users_site_group_uuid_idx
-- Touches: 1 + result
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    u.created_utc
FROM site_groups AS g
JOIN users AS u ON u.site_group_uuid = g.site_group_uuid
WHERE g.site_group_name = :'site_group_name'::text
ORDER BY u.email;
