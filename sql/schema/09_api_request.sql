-- Which user asked for which address of the API, and when.
CREATE TABLE IF NOT EXISTS api_request (
    uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    url text NOT NULL,
    user_uuid uuid,
    created_utc timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT api_request_pkey PRIMARY KEY (uuid),
    CONSTRAINT api_request_user_uuid_fkey FOREIGN KEY (user_uuid) REFERENCES users (user_uuid) ON DELETE SET NULL
);
CREATE INDEX IF NOT EXISTS api_request_user_uuid_created_utc_idx ON api_request (user_uuid, created_utc);
COMMENT ON TABLE api_request IS 'Requests to the API';
COMMENT ON COLUMN api_request.user_uuid IS 'Who asked; NULL where nobody was logged in, or the user was deleted since';
COMMENT ON COLUMN api_request.created_utc IS 'By the clock, not the transaction, so that two requests of one transaction keep their order';
