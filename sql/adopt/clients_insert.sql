-- Insert the clients that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: clients_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO clients (client_uuid, client_name, created_utc)
SELECT
    s.client_uuid,
    s.client_name,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN jsonb_to_record(r.target) AS s (client_uuid uuid, client_name text, created_utc timestamptz)
WHERE r.reason IS NULL AND r.stored_uuid = r.source_uuid
ON CONFLICT DO NOTHING;
