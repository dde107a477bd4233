-- Delete a user. The site group is kept. The user's API requests are kept, without a user.
--
-- Parameters:
--   email  text  the user's email, case-sensitive
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_pkey, api_request_user_uuid_created_utc_idx
-- Touches: 2
DELETE FROM users AS u
USING site_groups AS g
WHERE
    u.email = :'email'::text
    AND g.site_group_uuid = u.site_group_uuid
RETURNING
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    g.site_group_name,
    u.created_utc;
