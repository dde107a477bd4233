-- Return the power of the given sites per DNO or GSP for each start in a time window, ordered by start and name. Sites
-- without a DNO or GSP, and deleted sites, have the name NULL. For the total of the sites, see sums_total.sql.
--
-- Parameters:
--   by          text         dno or gsp
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
-- Result: GenerationSum
--   start_utc  timestamptz
--   power_kw   double precision
--   name       text
-- Index: generation_pkey
-- Touches: readings + sites
SELECT
    g.start_utc,
    sum(g.generation_power_kw) AS power_kw,
    CASE :'by'::text WHEN 'dno' THEN s.dno WHEN 'gsp' THEN s.gsp END AS name
FROM generation AS g
LEFT JOIN sites AS s ON s.site_uuid = g.site_uuid
WHERE
    g.site_uuid = ANY(:'site_uuids'::uuid[])
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
GROUP BY g.start_utc, name
ORDER BY g.start_utc, name;
