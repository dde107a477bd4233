-- Insert the inverters that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: inverters_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO inverters (inverter_uuid, site_uuid, created_utc)
SELECT
    s.inverter_uuid,
    s.site_uuid,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN jsonb_to_record(r.target) AS s (inverter_uuid uuid, site_uuid uuid, created_utc timestamptz)
WHERE r.reason IS NULL
ON CONFLICT DO NOTHING;
