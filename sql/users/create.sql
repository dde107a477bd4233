-- Create a user in an existing site group. Returns no row if the site group does not exist.
--
-- Parameters:
--   email            text  the user's email, case-sensitive
--   site_group_name  text  the name of the site group
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: 1
INSERT INTO users (email, site_group_uuid)
SELECT
    :'email'::text,
    g.site_group_uuid
FROM site_groups AS g
WHERE g.site_group_name = :'site_group_name'::text
RETURNING
    user_uuid,
    email,
    site_group_uuid,
    created_utc;
