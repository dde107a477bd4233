-- List the migrations that yoyo has applied, in order. Fails if yoyo has never been used on the database, because its
-- table does not exist.
--
-- Parameters: none
-- Result: row
--   migration_id  text  the file name without its extension
-- Index: none (a few rows)
-- Touches: _yoyo_migration
SELECT y.migration_id::text
FROM _yoyo_migration AS y
ORDER BY y.migration_id;
