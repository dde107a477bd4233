-- What the service tells its users about itself.
CREATE TABLE IF NOT EXISTS status (
    status_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    status text NOT NULL,
    message text NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT status_pkey PRIMARY KEY (status_uuid)
);
CREATE INDEX IF NOT EXISTS status_created_utc_idx ON status (created_utc);
COMMENT ON TABLE status IS 'Messages on the state of the service; the newest one holds';
COMMENT ON COLUMN status.status IS 'How it is, in a word: ok, warning, error';
COMMENT ON COLUMN status.created_utc IS 'By the clock, not the transaction, so that two messages of one transaction keep their order';
