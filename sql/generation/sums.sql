-- The summed power of some sites for each start in a window of time, in total or by DNO or by GSP; by start and name.
-- A site without a DNO (or GSP), or deleted since, counts under the name NULL.
--
-- Parameters:
--   by          text         total, dno or gsp
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  readings that start here or later; -infinity: from the first one on
--   end_utc     timestamptz  readings that start before this; infinity: up to the last one
-- Result: GenerationSum
--   start_utc  timestamptz
--   power_kw   double precision
--   name       text
-- Index: generation_pkey
-- Touches: readings + sites
SELECT
    g.start_utc,
    sum(g.generation_power_kw) AS power_kw,
    CASE :'by'::text WHEN 'total' THEN 'total' WHEN 'dno' THEN s.dno WHEN 'gsp' THEN s.gsp END AS name
FROM generation AS g
LEFT JOIN sites AS s ON s.site_uuid = g.site_uuid
WHERE
    g.site_uuid = ANY(:'site_uuids'::uuid[])
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
GROUP BY g.start_utc, name
ORDER BY g.start_utc, name;
