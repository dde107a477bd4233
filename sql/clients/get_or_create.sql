-- The client of that name, made if there is none. No row means that another caller made it at this very moment and
-- has committed since: ask again.
--
-- Parameters:
--   client_name  text  the name
-- Result: Client
--   client_uuid  uuid
--   client_name  text
--   created_utc  timestamptz
-- Index: clients_client_name_key
-- Touches: 1
WITH found AS (
    SELECT
        c.client_uuid,
        c.client_name,
        c.created_utc
    FROM clients AS c
    WHERE c.client_name = :'client_name'::text
),

made AS (
    INSERT INTO clients (client_name)
    SELECT :'client_name'::text
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (client_name) DO NOTHING
    RETURNING client_uuid, client_name, created_utc
)

SELECT
    f.client_uuid,
    f.client_name,
    f.created_utc
FROM found AS f
UNION ALL
SELECT
    m.client_uuid,
    m.client_name,
    m.created_utc
FROM made AS m;
