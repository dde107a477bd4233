-- Return the last request of each user among those in a time window that match the filters. Ordered by email, or newest
-- first. Users without such requests are left out.
--
-- Parameters:
--   start_utc     timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc       timestamptz  end of the window, exclusive; infinity for no limit
--   include       text         return only requests whose URL contains this; empty for all
--   exclude       text         return only requests whose URL does not contain this; empty for all
--   newest_first  boolean      order by time, newest first; otherwise by email
--   limit         text         return at most this many rows; empty for all
--   offset        bigint       skip this many rows
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   email        text
--   created_utc  timestamptz
-- Index: api_request_user_uuid_created_utc_idx
-- Touches: users + requests (without include and exclude, one request per user)
SELECT
    r.uuid,
    r.url,
    r.user_uuid,
    u.email,
    r.created_utc
FROM users AS u
CROSS JOIN
    LATERAL (
        SELECT
            a.uuid,
            a.url,
            a.user_uuid,
            a.created_utc
        FROM api_request AS a
        WHERE
            a.user_uuid = u.user_uuid
            AND a.created_utc >= :'start_utc'::timestamptz
            AND a.created_utc < :'end_utc'::timestamptz
            AND strpos(a.url, :'include'::text) > 0
            AND COALESCE(strpos(a.url, NULLIF(:'exclude', '')), 0) = 0
        ORDER BY a.created_utc DESC
        LIMIT 1
    ) AS r
ORDER BY CASE WHEN :'newest_first'::boolean THEN r.created_utc END DESC, u.email
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
