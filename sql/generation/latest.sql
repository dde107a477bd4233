-- Return the last reading of each given site, ordered by site. Sites without readings are left out. Searches the newest
-- partition first, and an older one only if it found no reading of the site.
--
-- Parameters:
--   site_uuids  uuid[]  the sites
-- Result: Generation
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: generation_pkey
-- Touches: result
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM (SELECT DISTINCT n.site_uuid FROM unnest(:'site_uuids'::uuid[]) AS n (site_uuid)) AS s
CROSS JOIN
    LATERAL (
        SELECT
            r.site_uuid,
            r.start_utc,
            r.end_utc,
            r.generation_power_kw,
            r.created_utc
        FROM generation AS r
        WHERE r.site_uuid = s.site_uuid
        ORDER BY r.start_utc DESC
        LIMIT 1
    ) AS g
ORDER BY g.site_uuid;
