-- Delete an inverter. Deletes no row if it does not exist.
--
-- Parameters:
--   inverter_uuid  uuid  the inverter
-- Result: none
-- Index: inverters_pkey
-- Touches: 1
DELETE FROM inverters
WHERE inverter_uuid = :'inverter_uuid'::uuid;
