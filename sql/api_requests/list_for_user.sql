-- Return the requests of a user in a time window, oldest first.
--
-- Parameters:
--   email      text         the user's email, case-sensitive
--   start_utc  timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc    timestamptz  end of the window, exclusive; infinity for no limit
--   include    text         return only requests whose URL contains this; empty for all
--   exclude    text         return only requests whose URL does not contain this; empty for all
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
