-- Return the client with this name.
--
-- Parameters:
--   client_name  text  the name of the client
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: clients_client_name_key
-- Touches: 1
SELECT
    c.client_uuid,
    c.client_name,
    c.created_utc
FROM clients AS c
WHERE c.client_name = :'client_name'::text;
