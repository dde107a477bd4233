-- The site group of that name, made if there is none. No row means that another caller made it at this very moment
-- and has committed since: ask again.
--
-- Parameters:
--   site_group_name  text  the group's name
-- Result: SiteGroup
--   site_group_uuid  uuid
--   site_group_name  text
--   service_level    integer
--   created_utc      timestamptz
-- Index: site_groups_site_group_name_key
-- Touches: 1
WITH found AS (
    SELECT
        g.site_group_uuid,
        g.site_group_name,
        g.service_level,
        g.created_utc
    FROM site_groups AS g
    WHERE g.site_group_name = :'site_group_name'::text
),

made AS (
    INSERT INTO site_groups (site_group_name)
    SELECT :'site_group_name'::text
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (site_group_name) DO NOTHING
    RETURNING site_group_uuid, site_group_name, service_level, created_utc
)

SELECT
    f.site_group_uuid,
    f.site_group_name,
    f.service_level,
    f.created_utc
FROM found AS f
UNION ALL
SELECT
    m.site_group_uuid,
    m.site_group_name,
    m.service_level,
    m.created_utc
FROM made AS m;
