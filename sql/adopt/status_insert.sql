-- Insert the status messages that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: status_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO status (status_uuid, status, message, created_utc)
SELECT
    s.status_uuid,
    s.status,
    s.message,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN jsonb_to_record(r.target) AS s (status_uuid uuid, status text, message text, created_utc timestamptz)
WHERE r.reason IS NULL
ON CONFLICT DO NOTHING;
