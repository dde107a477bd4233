-- Create an inverter at a site. Returns no row if the site does not exist.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: Inverter
--   inverter_uuid  uuid
--   site_uuid      uuid
--   created_utc    timestamptz
-- Index: sites_pkey
-- Touches: 1
INSERT INTO inverters (site_uuid)
SELECT s.site_uuid
FROM sites AS s
WHERE s.site_uuid = :'site_uuid'::uuid
RETURNING
    inverter_uuid,
    site_uuid,
    created_utc;
