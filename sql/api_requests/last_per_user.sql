-- Return the last request of each user, ordered by email. Users without requests are left out.
--
-- Parameters: none
-- Result: ApiRequest
--   uuid         uuid
--   url          text
--   user_uuid    uuid
--   created_utc  timestamptz
-- Index: api_request_user_uuid_created_utc_idx
-- Touches: users + result
SELECT
    r.uuid,
    r.url,
    r.user_uuid,
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
        WHERE a.user_uuid = u.user_uuid
        ORDER BY a.created_utc DESC
        LIMIT 1
    ) AS r
ORDER BY u.email;
