-- Prepare clients. Names are unique here: if a stored client has the same name and another id, its id is used.
--
-- Parameters: none
-- Result: none
-- Index: none (all rows of both sides)
-- Touches: adopt_documents + clients
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)  -- noqa: disable=ST05
SELECT
    d.document,
    s.client_uuid,
    known.client_uuid AS stored_uuid,
    CASE
        WHEN known.client_uuid = s.client_uuid
            THEN
                jsonb_build_object('client_uuid', s.client_uuid, 'client_name', s.client_name)
                || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC'))
        ELSE jsonb_build_object('client_name', s.client_name)
    END,
    CASE WHEN s.client_name IS NULL THEN 'it has no name' END,
    CASE WHEN known.client_uuid <> s.client_uuid THEN 'its name already exists with another id, which is used' END
FROM pg_temp.adopt_documents AS d
CROSS JOIN jsonb_to_record(d.document) AS s (client_uuid uuid, client_name text, created_utc timestamp)
LEFT JOIN clients AS c ON c.client_name = s.client_name
CROSS JOIN LATERAL (SELECT COALESCE(c.client_uuid, s.client_uuid) AS client_uuid) AS known;
