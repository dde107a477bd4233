-- Return the last reading of each existing site, ordered by site. Sites without readings are left out. Searches the
-- newest partition first, and an older one only if it found no reading of the site.
--
-- Parameters: none
-- Result: Generation
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: generation_pkey
-- Touches: sites + result
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM sites AS s
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
