-- Store a request to the API, without a user if the email is empty. Returns no row if the user does not exist.
--
-- Parameters:
--   url    text  the URL of the request
--   email  text  the user's email, case-sensitive; empty for none
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   email        text
--   created_utc  timestamptz
-- Index: users_email_key
-- Touches: 1
WITH created AS (
    INSERT INTO api_request (url, user_uuid)
    SELECT
        :'url'::text,
        u.user_uuid
    FROM (SELECT NULLIF(:'email', '') AS email) AS requester
    LEFT JOIN users AS u ON u.email = requester.email
    WHERE requester.email IS NULL OR u.user_uuid IS NOT NULL
    RETURNING uuid, url, user_uuid, created_utc
)

SELECT
    c.uuid,
    c.url,
    c.user_uuid,
    NULLIF(:'email', '') AS email,
    c.created_utc
FROM created AS c;
