-- Return the site group with this name, or create it. No row means that a concurrent transaction created the site
-- group. Run the query again.
--
-- Parameters:
--   site_group_name  text  the name of the site group
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: 1
WITH existing AS (
    SELECT
        g.site_group_uuid,
        g.site_group_name,
        g.service_level,
        g.created_utc
    FROM site_groups AS g
    WHERE g.site_group_name = :'site_group_name'::text
),

created AS (
    INSERT INTO site_groups (site_group_name)
    SELECT :'site_group_name'::text
    WHERE NOT EXISTS (SELECT FROM existing)
    ON CONFLICT (site_group_name) DO NOTHING
    RETURNING site_group_uuid, site_group_name, service_level, created_utc
)

SELECT
    e.site_group_uuid,
    e.site_group_name,
    e.service_level,
    e.created_utc
FROM existing AS e
UNION ALL
SELECT
    m.site_group_uuid,
    m.site_group_name,
    m.service_level,
    m.created_utc
FROM created AS m;
