-- Delete a site, step 2: delete its forecasts.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: none
-- Index: forecasts_key, forecasts_latest_idx
-- Touches: result
DELETE FROM forecasts
WHERE site_uuid = :'site_uuid'::uuid;
