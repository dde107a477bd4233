-- Create a user in an existing site group. Returns no row if the site group does not exist.
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
-- Index: site_groups_site_group_name_key
-- Touches: 1
WITH created AS (
    INSERT INTO users (email, site_group_uuid)
    SELECT
        :'email'::text,
        g.site_group_uuid
    FROM site_groups AS g
    WHERE g.site_group_name = :'site_group_name'::text
    RETURNING user_uuid, email, site_group_uuid, created_utc
)

SELECT
    c.user_uuid,
    c.email,
    c.site_group_uuid,
    :'site_group_name'::text AS site_group_name,
    c.created_utc
FROM created AS c;
