-- Return the total power of the given sites for each start in a time window, ordered by start. Deleted sites count too.
--
-- Parameters:
--   site_uuids  uuid[]       the sites
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
-- Result: GenerationSum
--   start_utc  timestamptz
--   power_kw   double precision
--   name       text              total
-- Index: generation_pkey
-- Touches: readings
SELECT
    g.start_utc,
    sum(g.generation_power_kw) AS power_kw,
    'total' AS name
FROM generation AS g
WHERE
    g.site_uuid = ANY(:'site_uuids'::uuid[])
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
GROUP BY g.start_utc
ORDER BY g.start_utc;
