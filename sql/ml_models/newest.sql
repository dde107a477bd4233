-- Return the newest version of a model: the one that was created last. Of several versions with the same created_utc,
-- the last one in the order of text counts as the newest.
--
-- Parameters:
--   name  text  the name of the model
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: ml_models_name_version_key
-- Touches: versions
SELECT
    m.ml_model_uuid,
    m.name,
    m.version,
    m.description,
    m.created_utc
FROM ml_models AS m
WHERE m.name = :'name'::text
ORDER BY m.created_utc DESC, m.version DESC
LIMIT 1;
