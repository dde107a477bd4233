-- Referential integrity of the big tables, checked once a statement: a foreign key would look up (and share-lock) the site
-- once for each reading. AFTER INSERT, with the statement's new rows as transition table `new_rows`.
CREATE OR REPLACE FUNCTION sites_exist() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    missing uuid[];
BEGIN
    SELECT pg_catalog.array_agg(n.site_uuid ORDER BY n.site_uuid) INTO missing
    FROM (SELECT DISTINCT r.site_uuid FROM new_rows AS r ORDER BY r.site_uuid) AS n
    WHERE NOT EXISTS (SELECT FROM sites AS s WHERE s.site_uuid = n.site_uuid FOR KEY SHARE);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = pg_catalog.format(
                '%s unknown site_uuid(s): %s', pg_catalog.cardinality(missing), pg_catalog.array_to_string(missing[1:5], ', '))
                      || CASE WHEN pg_catalog.cardinality(missing) > 5 THEN ', ...' ELSE '' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'site_uuid', CONSTRAINT = TG_ARGV[0];
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION sites_exist() IS
'Refuses rows of sites that do not exist, naming them (SQLSTATE 23503); locks the sites of the new rows FOR KEY SHARE, '
'as a foreign key would. Argument: the name of the constraint that it stands for';

CREATE OR REPLACE FUNCTION ml_models_exist() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    missing uuid[];
BEGIN
    SELECT pg_catalog.array_agg(n.ml_model_uuid ORDER BY n.ml_model_uuid) INTO missing
    FROM (SELECT DISTINCT r.ml_model_uuid FROM new_rows AS r WHERE r.ml_model_uuid IS NOT NULL ORDER BY r.ml_model_uuid) AS n
    WHERE NOT EXISTS (SELECT FROM ml_models AS m WHERE m.ml_model_uuid = n.ml_model_uuid FOR KEY SHARE);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'foreign_key_violation',
            MESSAGE = pg_catalog.format(
                '%s unknown ml_model_uuid(s): %s', pg_catalog.cardinality(missing), pg_catalog.array_to_string(missing[1:5], ', '))
                      || CASE WHEN pg_catalog.cardinality(missing) > 5 THEN ', ...' ELSE '' END,
            SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = 'ml_model_uuid', CONSTRAINT = TG_ARGV[0];
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION ml_models_exist() IS 'The same as sites_exist(), for the models of forecasts';

CREATE OR REPLACE FUNCTION key_is_fixed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'restrict_violation',
        MESSAGE = format('the key of a row of %s cannot be changed: delete the row and insert it anew', TG_ARGV[0]),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
$$;
COMMENT ON FUNCTION key_is_fixed() IS
'Refuses an UPDATE that names a column of the key, since only inserted rows are held against the sites. '
'Argument: the name of the table';

-- The functions that read tables with their owner's rights find them in this schema and nowhere else. Functions of any type are
-- written with pg_catalog in front: beside the tables somebody might have put one that fits better. And whoever hung the triggers on a
-- table of theirs, with columns of types of theirs, would have these types' casts run as the owner.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION sites_exist() SET search_path = pg_catalog, %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION ml_models_exist() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION sites_exist(), ml_models_exist() FROM public;
