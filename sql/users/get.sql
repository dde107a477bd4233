-- Return the user with this email.
--
-- Parameters:
--   email  text  the user's email, case-sensitive
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: users_email_key
-- Touches: 1
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    u.created_utc
FROM users AS u
WHERE u.email = :'email'::text;
