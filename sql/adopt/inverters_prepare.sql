-- Prepare inverters.
--
-- Parameters: none
-- Result: none
-- Index: none (all rows of both sides)
-- Touches: adopt_documents + sites
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason)  -- noqa: disable=ST05
SELECT
    d.document,
    s.inverter_uuid,
    s.inverter_uuid AS stored_uuid,
    jsonb_build_object('inverter_uuid', s.inverter_uuid, 'site_uuid', n.site_uuid)
    || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC')),
    CASE
        WHEN NOT EXISTS (
            SELECT FROM sites AS o
            WHERE o.site_uuid = n.site_uuid
        ) THEN 'its site does not exist'
    END
FROM pg_temp.adopt_documents AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            inverter_uuid uuid, site_uuid uuid, location_uuid uuid, created_utc timestamp
        )
CROSS JOIN LATERAL (SELECT COALESCE(s.site_uuid, s.location_uuid) AS site_uuid) AS n;
