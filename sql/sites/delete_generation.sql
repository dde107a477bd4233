-- Third step of deleting a site, where it is asked for: its readings, which otherwise stay.
--
-- Parameters:
--   site_uuid  uuid  the site
-- Result: none
-- Index: generation_pkey
-- Touches: result
DELETE FROM generation
WHERE site_uuid = :'site_uuid'::uuid;
