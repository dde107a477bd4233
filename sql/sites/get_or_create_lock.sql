-- Get or create a site, step 2, if there is none: wait for other transactions that create a site with this name. The
-- advisory lock ends with the transaction. After it, sites/get_or_create_existing sees what they have created.
--
-- Parameters:
--   client_site_name  text  the client's name for the site
-- Result: row
--   locked  text
-- Index: none (no table)
-- Touches: none
SELECT
    pg_advisory_xact_lock(
        hashtextextended('pvsite_sql sites.get_or_create ' || :'client_site_name'::text, 0)
    )::text AS locked;
