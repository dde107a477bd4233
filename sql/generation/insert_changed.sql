-- The stored readings that the staged ones correct, the last one of each key. After insert_new every key is stored, by
-- whomever, so each row meets its stored one: by the key's index, whatever the planner thinks of the two tables, and in
-- the order of the key, so that two writers wait for each other in one order. Equal ones are locked and left.
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
        created_utc = excluded.created_utc  -- the column's default: now
    WHERE g.end_utc <> excluded.end_utc OR g.generation_power_kw <> excluded.generation_power_kw;
