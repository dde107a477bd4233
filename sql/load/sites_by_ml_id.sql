-- Find the sites that rows of a file name by their ml_id.
--
-- Parameters:
--   ml_ids       integer[]  the numbers
--   client_name  text       only sites of this client; empty for all sites
-- Result: row
--   key        integer  one of the numbers
--   site_uuid  uuid     the site that has it
-- Index: sites_ml_id_key, sites_client_uuid_idx, clients_client_name_key
-- Touches: ml_ids + 1
SELECT
    s.ml_id AS key,
    s.site_uuid
FROM sites AS s
WHERE
    s.ml_id = ANY(:'ml_ids'::integer[])
    AND (
        NULLIF(:'client_name', '') IS NULL
        OR s.client_uuid = (
            SELECT c.client_uuid FROM clients AS c
            WHERE c.client_name = NULLIF(:'client_name', '')
        )
    )
ORDER BY s.ml_id;
