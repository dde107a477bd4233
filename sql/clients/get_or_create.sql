-- Return the client with this name, or create it. No row means that a concurrent transaction created the client. Run
-- the query again.
--
-- Parameters:
--   client_name  text  the name of the client
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: clients_client_name_key
-- Touches: 1
WITH existing AS (
    SELECT
        c.client_uuid,
        c.client_name,
        c.created_utc
    FROM clients AS c
    WHERE c.client_name = :'client_name'::text
),

created AS (
    INSERT INTO clients (client_name)
    SELECT :'client_name'::text
    WHERE NOT EXISTS (SELECT FROM existing)
    ON CONFLICT (client_name) DO NOTHING
    RETURNING client_uuid, client_name, created_utc
)

SELECT
    e.client_uuid,
    e.client_name,
    e.created_utc
FROM existing AS e
UNION ALL
SELECT
    m.client_uuid,
    m.client_name,
    m.created_utc
FROM created AS m;
