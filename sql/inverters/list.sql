-- Return the inverters of a site, oldest first.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: Inverter
--   inverter_uuid  uuid
--   site_uuid      uuid
--   created_utc    timestamptz
-- Index: inverters_site_uuid_idx
-- Touches: result
SELECT
    i.inverter_uuid,
    i.site_uuid,
    i.created_utc
FROM inverters AS i
WHERE i.site_uuid = :'site_uuid'::uuid
ORDER BY i.created_utc, i.inverter_uuid;
