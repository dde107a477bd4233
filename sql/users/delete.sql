-- Deletes a user. The site group stays; the user's API requests stay, without a user.
--
-- Parameters:
--   email  text  the user's email, as it is written
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
