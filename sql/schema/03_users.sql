-- People and programs that ask for sites, readings and forecasts.
CREATE TABLE IF NOT EXISTS users (
    user_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    email text NOT NULL,
    site_group_uuid uuid NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (user_uuid),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_site_group_uuid_fkey FOREIGN KEY (site_group_uuid) REFERENCES site_groups (site_group_uuid)
);
CREATE INDEX IF NOT EXISTS users_site_group_uuid_idx ON users (site_group_uuid);
COMMENT ON TABLE users IS 'Users, each in one site group';
COMMENT ON COLUMN users.email IS 'Compared as it is written, upper and lower case being different';
COMMENT ON CONSTRAINT users_site_group_uuid_fkey ON users IS 'A group with users in it cannot be deleted';
