-- List those of the given sites, countries and site groups that do not exist. A deleted site exists, in the history of the
-- sites; a country exists if a site is in it.
--
-- Parameters:
--   site_uuids        uuid[]
--   countries         text[]
--   site_group_names  text[]
-- Result: row
--   kind  text  site, country or site group
--   name  text
-- Index: sites_pkey, site_history_pkey, site_groups_site_group_name_key
-- Touches: 2 * site_uuids + countries * sites + site_group_names
SELECT
    'site'::text AS kind,
    u.site_uuid::text AS name
FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
WHERE
    (
        SELECT s.site_uuid FROM sites AS s
        WHERE s.site_uuid = u.site_uuid
    ) IS NULL
    AND (
        SELECT h.site_uuid FROM site_history AS h
        WHERE h.site_uuid = u.site_uuid LIMIT 1
    ) IS NULL
UNION ALL
SELECT
    'country'::text AS kind,
    c.country AS name
FROM unnest(:'countries'::text[]) AS c (country)
WHERE (
    SELECT s.site_uuid FROM sites AS s
    WHERE s.country = c.country LIMIT 1
) IS NULL
UNION ALL
SELECT
    'site group'::text AS kind,
    n.site_group_name AS name
FROM unnest(:'site_group_names'::text[]) AS n (site_group_name)
WHERE (
    SELECT g.site_group_uuid FROM site_groups AS g
    WHERE g.site_group_name = n.site_group_name
) IS NULL;
