-- Change the description of a model.
--
-- Parameters:
--   ml_model_uuid  uuid  the model
--   description    text  the new description; empty for none
-- Result: MlModel
--   ml_model_uuid  uuid
--   name           text
--   version        text
--   description    text
--   created_utc    timestamptz
-- Index: ml_models_pkey
-- Touches: 1
UPDATE ml_models
SET description = NULLIF(:'description', '')
WHERE ml_model_uuid = :'ml_model_uuid'::uuid
RETURNING
    ml_model_uuid,
    name,
    version,
    description,
    created_utc;
