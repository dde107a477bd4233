-- Deletes no data.
ALTER TABLE forecasts ALTER COLUMN forecast_uuid SET DEFAULT gen_random_uuid();
COMMENT ON COLUMN forecasts.forecast_uuid IS NULL;
