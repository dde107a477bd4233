-- Measured power, a row a reading. The natural key is the identity: no surrogate, no second index.
CREATE TABLE IF NOT EXISTS generation (
    site_uuid uuid NOT NULL,
    start_utc timestamptz NOT NULL,
    end_utc timestamptz NOT NULL,
    generation_power_kw double precision NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT generation_pkey PRIMARY KEY (site_uuid, start_utc),
    CONSTRAINT generation_end_after_start CHECK (end_utc > start_utc AND end_utc < 'infinity'),
    CONSTRAINT generation_power_finite CHECK (generation_power_kw > '-Infinity' AND generation_power_kw < 'Infinity')
) PARTITION BY RANGE (start_utc);
COMMENT ON TABLE generation IS 'Measured power of each site; a partition a month (UTC), made by ensure_month_partitions';
COMMENT ON COLUMN generation.site_uuid IS 'The site; checked when a row is inserted, and kept when the site is deleted';
COMMENT ON COLUMN generation.start_utc IS 'The reading holds from here on';
COMMENT ON COLUMN generation.end_utc IS 'The reading holds up to here, this instant not included';
COMMENT ON COLUMN generation.generation_power_kw IS 'Mean power over the interval; below zero at night, when inverters draw power';
COMMENT ON COLUMN generation.created_utc IS 'When the value was stored, or corrected';
COMMENT ON CONSTRAINT generation_power_finite ON generation IS 'Neither NaN nor an infinity, which would spoil every sum';
CREATE OR REPLACE TRIGGER generation_sites_exist AFTER INSERT ON generation
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION sites_exist('generation_site_uuid_fkey');
CREATE OR REPLACE TRIGGER generation_key_is_fixed BEFORE UPDATE OF site_uuid, start_utc ON generation
FOR EACH STATEMENT EXECUTE FUNCTION key_is_fixed('generation');
