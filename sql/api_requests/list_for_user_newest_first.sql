-- Return the requests of a user in a time window, newest first. Returns no rows if the user does not exist. The inner query
-- takes them in the order of the index, up to the last one asked for and all of its time; the outer query orders those
-- of one time by uuid.
--
-- Parameters:
--   email      text         the user's email, case-sensitive
--   start_utc  timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc    timestamptz  end of the window, exclusive; infinity for no limit
--   include    text         return only requests whose URL contains this; empty for all
--   exclude    text         return only requests whose URL does not contain this; empty for all
--   limit      text         return at most this many rows; empty for all
--   offset     bigint       skip this many rows
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   email        text
--   created_utc  timestamptz
-- Index: users_email_key, api_request_user_uuid_created_utc_idx
-- Touches: 1 + requests
SELECT
    r.uuid,
    r.url,
    r.user_uuid,
    :'email'::text AS email,
    r.created_utc
FROM (
    SELECT
        a.uuid,
        a.url,
        a.user_uuid,
        a.created_utc
    FROM api_request AS a
    WHERE
        a.user_uuid = (
            SELECT u.user_uuid FROM users AS u
            WHERE u.email = :'email'::text
        )
        AND a.created_utc >= :'start_utc'::timestamptz
        AND a.created_utc < :'end_utc'::timestamptz
        AND strpos(a.url, :'include'::text) > 0
        AND COALESCE(strpos(a.url, NULLIF(:'exclude', '')), 0) = 0
    ORDER BY a.created_utc DESC
    FETCH FIRST (COALESCE(NULLIF(:'limit', '')::bigint + :'offset'::bigint, 9223372036854775807)) ROWS WITH TIES
) AS r
ORDER BY r.created_utc DESC, r.uuid DESC
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
