-- Move a user to another site group. Returns no row if the user or the site group does not exist.
--
-- Parameters:
--   email            text  the user's email, case-sensitive
--   site_group_name  text  the name of the site group
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_site_group_name_key
-- Touches: 2
UPDATE users AS u
SET site_group_uuid = g.site_group_uuid
FROM site_groups AS g
WHERE
    u.email = :'email'::text
    AND g.site_group_name = :'site_group_name'::text
RETURNING
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    g.site_group_name,
    u.created_utc;
