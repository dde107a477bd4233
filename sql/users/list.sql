-- Return all users, ordered by email.
--
-- Parameters: none
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: none (reads all rows)
-- Touches: users
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    u.created_utc
FROM users AS u
ORDER BY u.email;
