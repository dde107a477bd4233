-- Delete a site, step 1: lock the site. Concurrent inserts of its readings and forecasts wait for the deletion, and
-- then fail because the site does not exist.
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
