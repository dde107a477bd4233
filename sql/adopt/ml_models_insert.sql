-- Insert the models that are not stored yet.
--
-- Parameters: none
-- Result: none
-- Index: ml_models_pkey
-- Touches: adopt_rows
-- After: adopt/documents_rows
INSERT INTO ml_models (ml_model_uuid, name, version, description, created_utc)
SELECT
    s.ml_model_uuid,
    s.name,
    s.version,
    s.description,
    COALESCE(s.created_utc, now())
FROM pg_temp.adopt_rows AS r
CROSS JOIN
    jsonb_to_record(r.target)
        AS s (
            ml_model_uuid uuid, name text, version text, description text, created_utc timestamptz
        )
WHERE r.reason IS NULL AND r.stored_uuid = r.source_uuid
ON CONFLICT DO NOTHING;
