-- Give a client another name. Fails with a violation of clients_client_name_key if the name is taken.
--
-- Parameters:
--   client_name  text  the name of the client
--   new_name     text  the new name
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: clients_client_name_key
-- Touches: 1
UPDATE clients
SET client_name = :'new_name'::text
WHERE client_name = :'client_name'::text
RETURNING
    client_uuid,
    client_name,
    created_utc;
