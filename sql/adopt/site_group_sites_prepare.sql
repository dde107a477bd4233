-- Prepare members of site groups.
--
-- Parameters: none
-- Result: none
-- Index: none (all rows of both sides)
-- Touches: adopt_documents + adopt_ids + sites
-- After: adopt/documents_staging, adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_rows (document, target, reason)  -- noqa: disable=ST05
SELECT
    d.document,
    jsonb_build_object('site_group_uuid', g.stored_uuid, 'site_uuid', n.site_uuid),
    CASE
        WHEN g.stored_uuid IS NULL THEN 'its group was not copied'
        WHEN NOT EXISTS (
            SELECT FROM sites AS o
            WHERE o.site_uuid = n.site_uuid
        ) THEN 'its site does not exist'
    END
FROM pg_temp.adopt_documents AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            site_group_uuid uuid, location_group_uuid uuid, site_uuid uuid, location_uuid uuid
        )
CROSS JOIN LATERAL (SELECT COALESCE(s.site_uuid, s.location_uuid) AS site_uuid) AS n
LEFT JOIN pg_temp.adopt_ids AS g
    ON g.kind = 'site_groups' AND g.source_uuid = COALESCE(s.site_group_uuid, s.location_group_uuid);
