-- The model of that name and version, made if there is none; the description is that of the first time. No row means
-- that another caller made it at this very moment and has committed since: ask again.
--
-- Parameters:
--   name         text  the name
--   version      text  the version; empty where there is none
--   description  text  what it is, or empty
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: ml_models_name_version_key
-- Touches: 1
WITH found AS (
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

made AS (
    INSERT INTO ml_models (name, version, description)
    SELECT
        :'name'::text,
        :'version'::text,
        NULLIF(:'description', '')
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (name, version) DO NOTHING
    RETURNING ml_model_uuid, name, version, description, created_utc
)

SELECT
    f.ml_model_uuid,
    f.name,
    f.version,
    f.description,
    f.created_utc
FROM found AS f
UNION ALL
SELECT
    n.ml_model_uuid,
    n.name,
    n.version,
    n.description,
    n.created_utc
FROM made AS n;
