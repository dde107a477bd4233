-- Return the users of a site group, ordered by email.
--
-- Parameters:
--   site_group_name  text    the name of the site group
--   limit            text    return at most this many rows; empty for all
--   offset           bigint  skip this many rows
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key, users_site_group_uuid_idx
-- Touches: 1 + members
SELECT
    u.user_uuid,
    u.email,
    u.site_group_uuid,
    g.site_group_name,
    u.created_utc
FROM site_groups AS g
JOIN users AS u ON u.site_group_uuid = g.site_group_uuid
WHERE g.site_group_name = :'site_group_name'::text
ORDER BY u.email
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
