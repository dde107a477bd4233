-- The companies that provide sites and their readings.
CREATE TABLE IF NOT EXISTS clients (
    client_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    client_name text NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT clients_pkey PRIMARY KEY (client_uuid),
    CONSTRAINT clients_client_name_key UNIQUE (client_name)
);
COMMENT ON TABLE clients IS 'Companies and people that hand in sites';
COMMENT ON COLUMN clients.client_name IS 'Names the client in every call';
