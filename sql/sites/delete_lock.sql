-- First step of deleting a site: whoever inserts readings or forecasts of it waits from here on, and then finds it
-- gone.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: row
--   site_uuid  uuid
-- Index: sites_pkey
-- Touches: 1
SELECT s.site_uuid
FROM sites AS s
WHERE s.site_uuid = :'site_uuid'::uuid
FOR UPDATE;
