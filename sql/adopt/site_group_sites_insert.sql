-- Insert the group members that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: site_group_sites_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO site_group_sites (site_group_uuid, site_uuid, created_utc)
SELECT
    s.site_group_uuid,
    s.site_uuid,
    COALESCE((r.document ->> 'created_utc')::timestamp AT TIME ZONE 'UTC', now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN jsonb_to_record(r.target) AS s (site_group_uuid uuid, site_uuid uuid)
WHERE r.reason IS NULL
ON CONFLICT DO NOTHING;
