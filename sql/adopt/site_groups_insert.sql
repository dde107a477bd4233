-- Insert the site groups that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: site_groups_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO site_groups (site_group_uuid, site_group_name, service_level, created_utc)
SELECT
    s.site_group_uuid,
    s.site_group_name,
    s.service_level,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN
    jsonb_to_record(r.target)
        AS s (
            site_group_uuid uuid, site_group_name text, service_level integer, created_utc timestamptz
        )
WHERE r.reason IS NULL AND r.stored_uuid = r.source_uuid
ON CONFLICT DO NOTHING;
