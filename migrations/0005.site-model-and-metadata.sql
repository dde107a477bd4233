-- depends: 0004.forecast-functions
-- The model that a site uses and the metadata of a site; ml_id may be given.
--
-- The columns have constant defaults, so the table is not rewritten. To validate the constraints and to build the index, the table is read:
-- 0.1 s for 100,000 sites. That is too short to be worth a migration without a transaction.
--
-- ml_models is locked first, as an insert of forecasts does. So sites, which everyone reads, is not locked while this waits for ml_models.
LOCK TABLE ml_models IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE sites ADD COLUMN IF NOT EXISTS ml_model_uuid uuid;
ALTER TABLE sites ADD COLUMN IF NOT EXISTS metadata jsonb NOT NULL DEFAULT '{}';
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = 'sites'::regclass AND k.conname = 'sites_ml_model_uuid_fkey') THEN
        ALTER TABLE sites
        ADD CONSTRAINT sites_ml_model_uuid_fkey FOREIGN KEY (ml_model_uuid) REFERENCES ml_models (ml_model_uuid),
        ADD CONSTRAINT sites_metadata_check CHECK (jsonb_typeof(metadata) = 'object');
    END IF;
END
$$;
-- sites is locked already, and small
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX IF NOT EXISTS sites_ml_model_uuid_idx ON sites (ml_model_uuid);
COMMENT ON COLUMN sites.ml_model_uuid IS 'The model that the site uses; NULL for any model';
COMMENT ON COLUMN sites.metadata IS 'More about the site: a JSON object for the programs that use it';
COMMENT ON COLUMN sites.ml_id IS 'The number that machine learning knows the site by. Counts up by itself unless it is given';

CREATE OR REPLACE FUNCTION sites_ml_id() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    near CONSTANT integer := 10000;
    counter CONSTANT regclass := pg_catalog.pg_get_serial_sequence('sites', 'ml_id');
    counted bigint;
BEGIN
    IF NEW.ml_id IS NULL THEN
        LOOP
            NEW.ml_id := pg_catalog.nextval(counter);
            EXIT WHEN NOT EXISTS (SELECT FROM sites AS s WHERE s.ml_id = NEW.ml_id);
        END LOOP;
    ELSIF TG_OP = 'INSERT' OR NEW.ml_id <> OLD.ml_id THEN
        EXECUTE pg_catalog.format('SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM %s', counter) INTO counted;
        IF NEW.ml_id > counted AND NEW.ml_id <= counted + near THEN
            -- setval() could set the sequence back, if other sessions count meanwhile
            PERFORM pg_catalog.nextval(counter) FROM pg_catalog.generate_series(counted + 1, NEW.ml_id);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION sites_ml_id() IS
'Counts a free ml_id where it is NULL. Counting also goes on after a given ml_id, if that is at most 10,000 ahead; numbers further ahead '
'are skipped when the count reaches them';
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION sites_ml_id() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION sites_ml_id() FROM public;
CREATE OR REPLACE TRIGGER sites_ml_id BEFORE INSERT OR UPDATE OF ml_id ON sites
FOR EACH ROW EXECUTE FUNCTION sites_ml_id();
