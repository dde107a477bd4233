-- Delete a site, step 3, optional: delete its readings. Without this step they are kept.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: none
-- Index: generation_pkey
-- Touches: result
DELETE FROM generation
WHERE site_uuid = :'site_uuid'::uuid;
