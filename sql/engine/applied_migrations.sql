-- The migrations that yoyo has applied, in their order. Fails on a database that yoyo has never seen: the table is
-- yoyo's.
--
-- Parameters: none
-- Result: row
--   migration_id  text  the file's name without its ending
-- Index: none (a few rows)
-- Touches: _yoyo_migration
SELECT y.migration_id::text
FROM _yoyo_migration AS y
ORDER BY y.migration_id;
