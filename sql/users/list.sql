-- Return all users, ordered by email.
--
-- Parameters:
--   limit   text    return at most this many rows; empty for all
--   offset  bigint  skip this many rows
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: none (reads all rows)
-- Touches: 2 * users + site_groups
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    g.site_group_name,
    u.created_utc
FROM users AS u
JOIN site_groups AS g ON g.site_group_uuid = u.site_group_uuid
ORDER BY u.email
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
