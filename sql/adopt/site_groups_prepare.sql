-- Prepare site groups. Names are unique here: if a stored group has the same name and another id, its id is used.
--
-- Parameters: none
-- Result: none
-- Index: none (all rows of both sides)
-- Touches: adopt_documents + site_groups
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)  -- noqa: disable=ST05
SELECT
    d.document,
    n.site_group_uuid,
    known.site_group_uuid AS stored_uuid,
    CASE
        WHEN known.site_group_uuid = n.site_group_uuid
            THEN jsonb_build_object(
                'site_group_uuid', n.site_group_uuid,
                'site_group_name', n.site_group_name,
                'service_level', GREATEST(s.service_level, 0)
            ) || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC'))
        ELSE jsonb_build_object('site_group_name', n.site_group_name)
    END,
    CASE WHEN n.site_group_name IS NULL THEN 'it has no name' END,
    NULLIF(concat_ws(
        '; ',
        CASE WHEN s.service_level < 0 THEN 'service_level is below 0: stored as 0' END,
        CASE
            WHEN known.site_group_uuid <> n.site_group_uuid THEN 'its name already exists with another id, which is used'
        END
    ), '')
FROM pg_temp.adopt_documents AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            site_group_uuid uuid,
            location_group_uuid uuid,
            site_group_name text,
            location_group_name text,
            service_level integer,
            created_utc timestamp
        )
CROSS JOIN
    LATERAL (
        SELECT
            COALESCE(s.site_group_uuid, s.location_group_uuid) AS site_group_uuid,
            COALESCE(s.site_group_name, s.location_group_name) AS site_group_name
    ) AS n
LEFT JOIN site_groups AS g ON g.site_group_name = n.site_group_name
CROSS JOIN LATERAL (SELECT COALESCE(g.site_group_uuid, n.site_group_uuid) AS site_group_uuid) AS known;
