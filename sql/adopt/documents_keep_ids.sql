-- Save the ids of the copied rows, for rows of other tables that refer to them.
--
-- Parameters:
--   kind  text  the target table
-- Result: none
-- Index: none (all of the temporary table)
-- Touches: adopt_rows
-- After: adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_ids (kind, source_uuid, stored_uuid)
SELECT
    :'kind'::text,
    r.source_uuid,
    r.stored_uuid
FROM pg_temp.adopt_rows AS r
WHERE r.reason IS NULL;
