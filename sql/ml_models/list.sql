-- Return all models, or all versions of one model, ordered by name and version.
--
-- Parameters:
--   name    text    return only models with this name; empty for all
--   limit   text    return at most this many rows; empty for all
--   offset  bigint  skip this many rows
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
WHERE m.name = COALESCE(NULLIF(:'name', ''), m.name)
ORDER BY m.name, m.version
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
