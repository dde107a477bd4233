-- Prepare users. Emails are unique here: if a stored user has the same email and another id, its id is used, provided
-- that the group is the same.
--
-- Parameters: none
-- Result: none
-- Index: users_email_key
-- Touches: adopt_documents + adopt_ids + users
-- After: adopt/documents_staging, adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)  -- noqa: disable=ST05
SELECT
    d.document,
    s.user_uuid,
    known.user_uuid AS stored_uuid,
    CASE
        WHEN known.user_uuid = s.user_uuid
            THEN
                jsonb_build_object('user_uuid', s.user_uuid, 'email', s.email, 'site_group_uuid', g.stored_uuid)
                || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC'))
        ELSE jsonb_build_object('email', s.email, 'site_group_uuid', g.stored_uuid)
    END,
    CASE
        WHEN s.email IS NULL THEN 'it has no email'
        WHEN g.stored_uuid IS NULL THEN 'its group was not copied'
    END,
    CASE WHEN known.user_uuid <> s.user_uuid THEN 'its email already exists with another id, which is used' END
FROM pg_temp.adopt_documents AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            user_uuid uuid, email text, site_group_uuid uuid, location_group_uuid uuid, created_utc timestamp
        )
LEFT JOIN pg_temp.adopt_ids AS g
    ON g.kind = 'site_groups' AND g.source_uuid = COALESCE(s.site_group_uuid, s.location_group_uuid)
LEFT JOIN users AS u ON u.email = s.email
CROSS JOIN LATERAL (SELECT COALESCE(u.user_uuid, s.user_uuid) AS user_uuid) AS known;
