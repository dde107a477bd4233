-- Prepare status messages.
--
-- Parameters: none
-- Result: none
-- Index: none (all of the temporary table)
-- Touches: adopt_documents
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason)
SELECT
    d.document,
    s.status_uuid,
    s.status_uuid AS stored_uuid,
    jsonb_build_object('status_uuid', s.status_uuid, 'status', s.status, 'message', s.message)
    || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC')),
    CASE
        WHEN s.status IS NULL THEN 'it has no status'
        WHEN s.message IS NULL THEN 'it has no message'
    END
FROM pg_temp.adopt_documents AS d
CROSS JOIN jsonb_to_record(d.document) AS s (status_uuid uuid, status text, message text, created_utc timestamp);
