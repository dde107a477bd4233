-- What became of each site, a row a change. Triggers write it, with the rights of its owner; nobody else needs the right to.
-- There is no foreign key: the history of a site outlives it.
CREATE TABLE IF NOT EXISTS site_history (
    site_uuid uuid NOT NULL,
    changed_utc timestamptz NOT NULL,
    change_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    operation text NOT NULL,
    old_row jsonb,
    new_row jsonb,
    actor text DEFAULT NULLIF(current_setting('pvsite_sql.actor', TRUE), ''),
    database_user text NOT NULL DEFAULT session_user,
    CONSTRAINT site_history_pkey PRIMARY KEY (site_uuid, changed_utc, change_id),
    CONSTRAINT site_history_operation_check CHECK (operation IN ('baseline', 'insert', 'update', 'delete')),
    CONSTRAINT site_history_old_row_check CHECK ((old_row IS NULL) = (operation IN ('baseline', 'insert'))),
    CONSTRAINT site_history_new_row_check CHECK ((new_row IS NULL) = (operation = 'delete'))
);
COMMENT ON TABLE site_history IS 'The changes of the sites; what a site was at a time is the new_row of its last change up to then';
COMMENT ON COLUMN site_history.changed_utc IS
'When the change was made, which is before its COMMIT: an insert counts from the start of its transaction on, as created_utc does, '
'all else from its statement on. The times of one site never run backwards. Of a baseline: the created_utc of the site';
COMMENT ON COLUMN site_history.change_id IS 'Counts up by itself: orders the changes of a site that have the same time';
COMMENT ON COLUMN site_history.operation IS
'insert, update or delete; baseline is what a site was that was there before its history, with all that it had become until then';
COMMENT ON COLUMN site_history.old_row IS 'The row of sites before, with the columns that it had then; NULL if there was none';
COMMENT ON COLUMN site_history.new_row IS 'The row of sites after, with the columns that it had then; NULL if there is none';
COMMENT ON COLUMN site_history.actor IS
'Who made it, as the program says (the setting pvsite_sql.actor of its transaction); NULL if it does not';
COMMENT ON COLUMN site_history.database_user IS 'Who made it, as the server knows: the user that logged in, whatever SET ROLE said';

-- Once a statement, with its rows as transition tables `old_rows` and `new_rows`; a TRUNCATE has none, so it comes before it. The settings
-- make the text of a row the same for every session: times in UTC, and floating-point numbers to the last bit.
CREATE OR REPLACE FUNCTION write_site_history() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET extra_float_digits = 1 AS $$
DECLARE
    moment CONSTANT timestamptz := pg_catalog.clock_timestamp();
BEGIN
    -- no change before the one that the site had last, even if the clock was set back in between
    IF TG_OP = 'INSERT' THEN
        INSERT INTO site_history (site_uuid, changed_utc, operation, new_row)
        SELECT
            n.site_uuid,
            GREATEST(pg_catalog.now(), (SELECT pg_catalog.max(h.changed_utc) FROM site_history AS h WHERE h.site_uuid = n.site_uuid)),
            'insert',
            pg_catalog.to_jsonb(n)
        FROM new_rows AS n;
    ELSIF TG_OP = 'UPDATE' THEN
        -- a site whose uuid was changed went, and another came
        INSERT INTO site_history (site_uuid, changed_utc, operation, old_row, new_row)
        SELECT
            c.site_uuid,
            GREATEST(moment, (SELECT pg_catalog.max(h.changed_utc) FROM site_history AS h WHERE h.site_uuid = c.site_uuid)),
            CASE WHEN c.old_row IS NULL THEN 'insert' WHEN c.new_row IS NULL THEN 'delete' ELSE 'update' END,
            c.old_row,
            c.new_row
        FROM (
            SELECT
                COALESCE(n.site_uuid, o.site_uuid) AS site_uuid,
                o.row AS old_row,
                n.row AS new_row
            FROM (SELECT r.site_uuid, pg_catalog.to_jsonb(r) AS row FROM old_rows AS r) AS o
            FULL JOIN (SELECT r.site_uuid, pg_catalog.to_jsonb(r) AS row FROM new_rows AS r) AS n ON n.site_uuid = o.site_uuid
        ) AS c
        WHERE c.old_row IS DISTINCT FROM c.new_row;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO site_history (site_uuid, changed_utc, operation, old_row)
        SELECT
            o.site_uuid,
            GREATEST(moment, (SELECT pg_catalog.max(h.changed_utc) FROM site_history AS h WHERE h.site_uuid = o.site_uuid)),
            'delete',
            pg_catalog.to_jsonb(o)
        FROM old_rows AS o;
    ELSE
        INSERT INTO site_history (site_uuid, changed_utc, operation, old_row)
        SELECT
            o.site_uuid,
            GREATEST(moment, (SELECT pg_catalog.max(h.changed_utc) FROM site_history AS h WHERE h.site_uuid = o.site_uuid)),
            'delete',
            pg_catalog.to_jsonb(o)
        FROM sites AS o;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION write_site_history() IS
'Writes what a statement changed in sites into site_history; a row that it left as it was is no change. '
'Runs with its owner''s rights: who changes sites needs none on site_history';

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION write_site_history() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION write_site_history() FROM public;

CREATE OR REPLACE TRIGGER sites_history_insert AFTER INSERT ON sites
REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION write_site_history();
CREATE OR REPLACE TRIGGER sites_history_update AFTER UPDATE ON sites
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION write_site_history();
CREATE OR REPLACE TRIGGER sites_history_delete AFTER DELETE ON sites
REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION write_site_history();
CREATE OR REPLACE TRIGGER sites_history_truncate BEFORE TRUNCATE ON sites
FOR EACH STATEMENT EXECUTE FUNCTION write_site_history();
