-- Return all site groups, ordered by name.
--
-- Parameters:
--   limit   text    return at most this many rows; empty for all
--   offset  bigint  skip this many rows
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: none (reads all rows)
-- Touches: site_groups
SELECT
    g.site_group_uuid,
    g.site_group_name,
    g.service_level,
    g.created_utc
FROM site_groups AS g
ORDER BY g.site_group_name
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
