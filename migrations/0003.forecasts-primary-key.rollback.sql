-- Deletes no data. Blocks writers of forecasts while it builds the index.
CREATE INDEX IF NOT EXISTS forecasts_forecast_uuid_idx ON forecasts (forecast_uuid);
ALTER TABLE forecasts DROP CONSTRAINT IF EXISTS forecasts_pkey;
