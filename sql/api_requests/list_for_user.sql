-- The requests of a user in a window of time, oldest first.
--
-- Parameters:
--   email      text         the user's email, as it is written
--   start_utc  timestamptz  requests from here on; -infinity: from the first
--   end_utc    timestamptz  requests before this; infinity: up to the last
--   include    text         only addresses with this in them; empty: all
--   exclude    text         only addresses without this in them; empty: all
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   created_utc  timestamptz
-- Index: users_email_key, api_request_user_uuid_created_utc_idx
-- Touches: 1 + requests
SELECT
    a.uuid,
    a.url,
    a.user_uuid,
    a.created_utc
FROM users AS u
JOIN api_request AS a ON a.user_uuid = u.user_uuid
WHERE
    u.email = :'email'::text
    AND a.created_utc >= :'start_utc'::timestamptz
    AND a.created_utc < :'end_utc'::timestamptz
    AND strpos(a.url, :'include'::text) > 0
    AND COALESCE(strpos(a.url, NULLIF(:'exclude', '')), 0) = 0
ORDER BY a.created_utc, a.uuid;
