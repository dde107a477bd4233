-- Delete a client. Fails with a violation of sites_client_uuid_fkey if the client has sites.
--
-- Parameters:
--   client_name  text  the name of the client
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: clients_client_name_key, sites_client_uuid_idx
-- Touches: 1
DELETE FROM clients
WHERE client_name = :'client_name'::text
RETURNING
    client_uuid,
    client_name,
    created_utc;
