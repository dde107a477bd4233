-- Return all clients, ordered by name.
--
-- Parameters:
--   limit   text    return at most this many rows; empty for all
--   offset  bigint  skip this many rows
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
ORDER BY c.client_name
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
