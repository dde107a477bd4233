-- Return all clients, ordered by name.
--
-- Parameters: none
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: none (reads all rows)
-- Touches: clients
SELECT
    c.client_uuid,
    c.client_name,
    c.created_utc
FROM clients AS c
ORDER BY c.client_name;
