-- Store a request to the API, without a user if the email is empty. Returns no row if the user does not exist.
--
-- Parameters:
--   url    text  the URL of the request
--   email  text  the user's email, case-sensitive; empty for none
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
FROM (SELECT NULLIF(:'email', '') AS email) AS requester
LEFT JOIN users AS u ON u.email = requester.email
WHERE requester.email IS NULL OR u.user_uuid IS NOT NULL
RETURNING
    uuid,
    url,
    user_uuid,
    created_utc;
