-- List the uuids of all sites, ascending.
--
-- Parameters: none
-- Result: row
--   site_uuid  uuid
-- Index: sites_pkey
-- Touches: sites
SELECT s.site_uuid
FROM sites AS s
ORDER BY s.site_uuid;
