-- Return the model with this name and version. It only reads, so that it also works on a hot standby and for roles that
-- may not write.
--
-- Parameters:
--   name     text  the name of the model
--   version  text  the version; empty for none
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: ml_models_name_version_key
-- Touches: 1
SELECT
    m.ml_model_uuid,
    m.name,
    m.version,
    m.description,
    m.created_utc
FROM ml_models AS m
WHERE
    m.name = :'name'::text
    AND m.version = :'version'::text;
