-- Insert the users that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: users_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO users (user_uuid, email, site_group_uuid, created_utc)
SELECT
    s.user_uuid,
    s.email,
    s.site_group_uuid,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN
    jsonb_to_record(r.target)
        AS s (
            user_uuid uuid, email text, site_group_uuid uuid, created_utc timestamptz
        )
WHERE r.reason IS NULL AND r.stored_uuid = r.source_uuid
ON CONFLICT DO NOTHING;
