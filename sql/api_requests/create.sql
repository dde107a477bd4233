-- Notes a request to the API; without a user where the email is empty. No row where there is no such user.
--
-- Parameters:
--   url    text  the address that was asked for
--   email  text  the user's email, or empty
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   created_utc  timestamptz
-- Index: users_email_key
-- Touches: 1
INSERT INTO api_request (url, user_uuid)
SELECT
    :'url'::text,
    u.user_uuid
FROM (SELECT NULLIF(:'email', '') AS email) AS asked
LEFT JOIN users AS u ON u.email = asked.email
WHERE asked.email IS NULL OR u.user_uuid IS NOT NULL
RETURNING
    uuid,
    url,
    user_uuid,
    created_utc;
