-- Change the email of a user. The site group site_group_for_<email> gets the name of the new email, if it exists: under its
-- old name, get_or_create would give it to the next user of the old email. Returns no row if the user does not exist.
--
-- Parameters:
--   email      text  the user's email, case-sensitive
--   new_email  text  the new email
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_site_group_name_key, site_groups_pkey
-- Touches: 4
WITH own_group AS (
    UPDATE site_groups AS g
    SET site_group_name = 'site_group_for_' || :'new_email'::text
    WHERE
        g.site_group_name = 'site_group_for_' || :'email'::text
        AND EXISTS (
            SELECT FROM users AS o
            WHERE o.email = :'email'::text
        )
    RETURNING g.site_group_uuid, g.site_group_name
)

UPDATE users AS u
SET email = :'new_email'::text
FROM site_groups AS g
LEFT JOIN own_group AS o ON o.site_group_uuid = g.site_group_uuid
WHERE
    u.email = :'email'::text
    AND g.site_group_uuid = u.site_group_uuid
RETURNING
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    COALESCE(o.site_group_name, g.site_group_name) AS site_group_name,
    u.created_utc;
