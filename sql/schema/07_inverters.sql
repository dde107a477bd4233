-- The inverters of a site.
CREATE TABLE IF NOT EXISTS inverters (
    inverter_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    site_uuid uuid NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inverters_pkey PRIMARY KEY (inverter_uuid),
    CONSTRAINT inverters_site_uuid_fkey FOREIGN KEY (site_uuid) REFERENCES sites (site_uuid) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS inverters_site_uuid_idx ON inverters (site_uuid);
COMMENT ON TABLE inverters IS 'Inverters, each at one site; gone with it';
