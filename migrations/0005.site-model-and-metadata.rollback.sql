-- Deletes the metadata of the sites and the models that they use. Each site keeps its ml_id.
DROP TRIGGER IF EXISTS sites_ml_id ON sites;
DROP FUNCTION IF EXISTS sites_ml_id();
ALTER TABLE sites DROP COLUMN IF EXISTS metadata, DROP COLUMN IF EXISTS ml_model_uuid;
COMMENT ON COLUMN sites.ml_id IS 'Counts up by itself: the number that machine learning knows the site by';
