-- Delete a forecast. Looks into all partitions. Deletes no row if the forecast does not exist.
--
-- Parameters:
--   forecast_uuid  uuid  the forecast
-- Result: none
-- Index: forecasts_pkey
-- Touches: 1
DELETE FROM forecasts
WHERE forecast_uuid = :'forecast_uuid'::uuid;
