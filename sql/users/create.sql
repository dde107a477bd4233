-- Makes a user in a site group that there is; no row where there is no such group.
--
-- Parameters:
--   email            text  the user's email, as it is written
--   site_group_name  text  the group's name
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
