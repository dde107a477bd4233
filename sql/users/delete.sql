-- Delete a user. The site group is kept. The user's API requests are kept, without a user.
--
-- Parameters:
--   email  text  the user's email, case-sensitive
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: users_email_key, api_request_user_uuid_created_utc_idx
-- Touches: 1
DELETE FROM users
WHERE email = :'email'::text
RETURNING
    user_uuid,
    email,
    site_group_uuid,
    created_utc;
