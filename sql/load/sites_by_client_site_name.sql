-- Find the sites that rows of a file name by their client_site_name. A name that several sites have is listed once for
-- each of them.
--
-- Parameters:
--   client_site_names  text[]  the names
--   client_name        text    only sites of this client; empty for all sites
-- Result: row
--   key        text  one of the names
--   site_uuid  uuid  a site that has it
-- Index: sites_client_site_name_idx, sites_client_uuid_idx, clients_client_name_key
-- Touches: namesakes + 1
SELECT
    s.client_site_name AS key,
    s.site_uuid
FROM sites AS s
WHERE
    s.client_site_name = ANY(:'client_site_names'::text[])
    AND (
        NULLIF(:'client_name', '') IS NULL
        OR s.client_uuid = (
            SELECT c.client_uuid FROM clients AS c
            WHERE c.client_name = NULLIF(:'client_name', '')
        )
    )
ORDER BY s.client_site_name, s.site_uuid;
