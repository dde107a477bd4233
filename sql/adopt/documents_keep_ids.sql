-- Remembers the ids of the rows that are taken over, for the rows of other tables that name them.
--
-- Parameters:
--   kind  text  the table
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
