-- The models that make forecasts.
CREATE TABLE IF NOT EXISTS ml_models (
    ml_model_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    version text NOT NULL DEFAULT '',
    description text,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ml_models_pkey PRIMARY KEY (ml_model_uuid),
    CONSTRAINT ml_models_name_version_key UNIQUE (name, version)
);
COMMENT ON TABLE ml_models IS 'Forecasting models, a row for each version';
COMMENT ON COLUMN ml_models.version IS 'Empty where the model came without one';
