-- Return the site groups that a site belongs to, ordered by name.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_group_sites_site_uuid_idx, site_groups_pkey
-- Touches: 2 * result
SELECT
    g.site_group_uuid,
    g.site_group_name,
    g.service_level,
    g.created_utc
FROM site_group_sites AS gs
CROSS JOIN
    LATERAL (
        SELECT
            o.site_group_uuid,
            o.site_group_name,
            o.service_level,
            o.created_utc
        FROM site_groups AS o
        WHERE o.site_group_uuid = gs.site_group_uuid
        LIMIT 1  -- there is but one; so it is looked up, and the table is not read
    ) AS g
WHERE gs.site_uuid = :'site_uuid'::uuid
ORDER BY g.site_group_name;
