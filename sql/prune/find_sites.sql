-- List the sites whose rows to prune, in ascending order: those that match all filters. If only sites are given, deleted
-- sites count too, because their readings may have been kept.
--
-- Parameters:
--   site_uuids        uuid[]  only these sites; an empty list for all
--   countries         text[]  only sites in one of these countries; an empty list for all
--   site_group_names  text[]  only sites in one of these groups; an empty list for all
-- Result: row
--   site_uuid  uuid
-- Index: none (a few tables of sites and groups are read)
-- Touches: sites + site_groups + site_group_sites
SELECT s.site_uuid
FROM sites AS s
WHERE
    (cardinality(:'site_uuids'::uuid[]) = 0 OR s.site_uuid = ANY(:'site_uuids'::uuid[]))
    AND (cardinality(:'countries'::text[]) = 0 OR s.country = ANY(:'countries'::text[]))
    AND (
        cardinality(:'site_group_names'::text[]) = 0
        OR s.site_uuid IN (
            SELECT gs.site_uuid
            FROM site_groups AS g
            JOIN site_group_sites AS gs ON gs.site_group_uuid = g.site_group_uuid
            WHERE g.site_group_name = ANY(:'site_group_names'::text[])
        )
    )
UNION
SELECT u.site_uuid
FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
WHERE cardinality(:'countries'::text[]) = 0 AND cardinality(:'site_group_names'::text[]) = 0
ORDER BY site_uuid;
