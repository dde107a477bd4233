-- Return the user with this email.
--
-- Parameters:
--   email  text  the user's email, case-sensitive
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_pkey
-- Touches: 2
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    g.site_group_name,
    u.created_utc
FROM users AS u
JOIN site_groups AS g ON g.site_group_uuid = u.site_group_uuid
WHERE u.email = :'email'::text;
