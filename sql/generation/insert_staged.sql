-- Insert all staged readings, the last one per key. A key that is stored already is an error.
--
-- Parameters: none
-- Result: none
-- Index: generation_pkey
-- Touches: generation_staging
-- After: generation/insert_staging
INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
SELECT DISTINCT ON (n.site_uuid, n.start_utc)
    n.site_uuid,
    n.start_utc,
    n.end_utc,
    n.generation_power_kw
FROM pg_temp.generation_staging AS n
ORDER BY n.site_uuid, n.start_utc, n.position DESC;
