-- Return the model with this name and version, or create it. An existing model keeps its description. A new one without a
-- description gets that of the newest version before it. No row means that a concurrent transaction created the model.
-- Run the query again.
--
-- Parameters:
--   name         text  the name of the model
--   version      text  the version; empty for none
--   description  text  the description of a new model; empty for that of the version before it
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: ml_models_name_version_key
-- Touches: 1 + versions
WITH existing AS (
    SELECT
        m.ml_model_uuid,
        m.name,
        m.version,
        m.description,
        m.created_utc
    FROM ml_models AS m
    WHERE
        m.name = :'name'::text
        AND m.version = :'version'::text
),

created AS (
    INSERT INTO ml_models (name, version, description)
    SELECT
        :'name'::text,
        :'version'::text,
        COALESCE(NULLIF(:'description', ''), (
            SELECT b.description
            FROM ml_models AS b
            WHERE b.name = :'name'::text
            ORDER BY b.created_utc DESC, b.version DESC
            LIMIT 1
        ))
    WHERE NOT EXISTS (SELECT FROM existing)
    ON CONFLICT (name, version) DO NOTHING
    RETURNING ml_model_uuid, name, version, description, created_utc
)

SELECT
    e.ml_model_uuid,
    e.name,
    e.version,
    e.description,
    e.created_utc
FROM existing AS e
UNION ALL
SELECT
    n.ml_model_uuid,
    n.name,
    n.version,
    n.description,
    n.created_utc
FROM created AS n;
