-- Return all models, ordered by name and version.
--
-- Parameters: none
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: none (reads all rows)
-- Touches: ml_models
SELECT
    m.ml_model_uuid,
    m.name,
    m.version,
    m.description,
    m.created_utc
FROM ml_models AS m
ORDER BY m.name, m.version;
