-- Prepare API requests. A request of a user who was not copied is stored without a user.
--
-- Parameters: none
-- Result: none
-- Index: none (all of the temporary tables)
-- Touches: adopt_documents + adopt_ids
-- After: adopt/documents_staging, adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)
SELECT
    d.document,
    s.uuid,
    s.uuid AS stored_uuid,
    jsonb_build_object('uuid', s.uuid, 'url', s.url, 'user_uuid', u.stored_uuid)
    || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC')),
    CASE WHEN s.url IS NULL THEN 'it has no url' END,
    CASE WHEN s.user_uuid IS NOT NULL AND u.stored_uuid IS NULL THEN 'its user was not copied: stored without a user' END
FROM pg_temp.adopt_documents AS d
CROSS JOIN jsonb_to_record(d.document) AS s (uuid uuid, url text, user_uuid uuid, created_utc timestamp)
LEFT JOIN pg_temp.adopt_ids AS u ON u.kind = 'users' AND u.source_uuid = s.user_uuid;
