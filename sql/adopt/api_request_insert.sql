-- Insert the API requests that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: api_request_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO api_request (uuid, url, user_uuid, created_utc)
SELECT
    s.uuid,
    s.url,
    s.user_uuid,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN jsonb_to_record(r.target) AS s (uuid uuid, url text, user_uuid uuid, created_utc timestamptz)
WHERE r.reason IS NULL
ON CONFLICT DO NOTHING;
