-- Replace stored readings by the staged ones, the last one per key, if power or end differ. After insert_new, every
-- staged key is stored, so each row conflicts with a stored one. ON CONFLICT finds that row in the primary key's index,
-- whatever the planner knows about the two tables. Rows are locked in key order, so that concurrent writers do not
-- deadlock. Rows that do not differ are locked but not written.
--
-- Parameters: none
-- Result: none
-- Index: generation_pkey
-- Touches: generation_staging
-- After: generation/insert_staging
INSERT INTO generation AS g (site_uuid, start_utc, end_utc, generation_power_kw)
SELECT DISTINCT ON (n.site_uuid, n.start_utc)
    n.site_uuid,
    n.start_utc,
    n.end_utc,
    n.generation_power_kw
FROM pg_temp.generation_staging AS n
ORDER BY n.site_uuid, n.start_utc, n.position DESC
ON CONFLICT (site_uuid, start_utc) DO UPDATE
    SET
        end_utc = excluded.end_utc,
        generation_power_kw = excluded.generation_power_kw,
        created_utc = excluded.created_utc  -- the column's default, now()
    WHERE g.end_utc <> excluded.end_utc OR g.generation_power_kw <> excluded.generation_power_kw;
