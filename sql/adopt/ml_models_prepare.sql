-- Prepare models. A name and version is unique here. If several models of the source have the same one, the oldest is
-- used; if a stored model has it, that one is used.
--
-- Parameters: none
-- Result: none
-- Index: none (all rows of both sides)
-- Touches: adopt_documents + adopt_documents * adopt_documents + ml_models
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)  -- noqa: disable=ST05
SELECT
    d.document,
    s.model_uuid,
    known.ml_model_uuid AS stored_uuid,
    CASE
        WHEN known.ml_model_uuid = s.model_uuid
            THEN jsonb_build_object(
                'ml_model_uuid', s.model_uuid, 'name', n.name, 'version', n.version, 'description', s.description
            ) || jsonb_strip_nulls(jsonb_build_object('created_utc', s.created_utc AT TIME ZONE 'UTC'))
        ELSE jsonb_build_object('name', n.name, 'version', n.version)
    END,
    NULL,
    NULLIF(concat_ws(
        '; ',
        CASE WHEN s.name IS NULL THEN 'it has no name: stored with an empty name' END,
        CASE
            WHEN known.ml_model_uuid <> s.model_uuid
                THEN 'its name and version already exist with another id, which is used'
        END
    ), '')
FROM pg_temp.adopt_documents AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            model_uuid uuid, name text, version text, description text, created_utc timestamp
        )
CROSS JOIN
    LATERAL (
        SELECT
            COALESCE(s.name, '') AS name,
            COALESCE(s.version, '') AS version
    ) AS n
LEFT JOIN ml_models AS m ON m.name = n.name AND m.version = n.version
CROSS JOIN LATERAL (
    SELECT COALESCE(
        m.ml_model_uuid,
        (
            SELECT o.model_uuid
            FROM pg_temp.adopt_documents AS e
            CROSS JOIN
                jsonb_to_record(e.document)
                    AS o (
                        model_uuid uuid, name text, version text, created_utc timestamp
                    )
            WHERE COALESCE(o.name, '') = n.name AND COALESCE(o.version, '') = n.version
            ORDER BY o.created_utc, o.model_uuid
            LIMIT 1
        )
    ) AS ml_model_uuid
) AS known;
