-- Least privilege: three group roles and all that they may do. Not part of the migrations, since roles belong to the whole cluster.
--
--   pvsite_reader    reads: dashboards, an API that only shows
--   pvsite_ingestor  reads, and stores readings, forecasts, status messages and API requests
--   pvsite_admin     runs every method of the package: also makes, changes and deletes sites, users, groups and their readings
--
-- Nobody logs in as one of them; programs and people become members:
--
--     CREATE ROLE meter_feed LOGIN IN ROLE pvsite_ingestor;
--
-- None of them owns anything, so none can migrate, drop or truncate. That is left to the owner of the tables, a fourth role, which
-- runs the migrations and nothing else. It had better not be a superuser: some functions run with its rights.
--
-- Run this after each migration, as a superuser, or as the owner (with CREATEROLE, unless the three roles are there already):
--
--     psql -v ON_ERROR_STOP=1 -f sql/schema/roles.sql
--
-- It works on the schema in which search_path finds the tables, all of it or nothing, as often as you like; readers and writers do not
-- wait for it. Each run first takes away what the three roles and PUBLIC have, so the grants below are the whole truth.
BEGIN;

-- 1. Where are the tables? And from here on functions and operators are PostgreSQL's own, whatever the session's search_path holds.
DO $$
DECLARE
    given CONSTANT text := pg_catalog.current_setting('search_path');
    found CONSTANT regclass := pg_catalog.to_regclass('generation');
    home regnamespace;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', TRUE);
    SELECT c.relnamespace INTO home FROM pg_class AS c WHERE c.oid = found AND c.relkind = 'p';
    IF home IS NULL THEN
        RAISE EXCEPTION 'search_path (%) leads to no tables of pvsite_sql', given USING HINT = 'Migrate first, or set search_path.';
    END IF;
    PERFORM set_config('pvsite_sql.home', home::text, TRUE);
END
$$;

-- 2. The roles, if the cluster does not have them yet. Another database of the cluster that runs this file shares them: a member is a
-- member in both, and CONNECT decides who gets in where.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['pvsite_reader', 'pvsite_ingestor', 'pvsite_admin'] LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END
$$;

-- 3. Getting in. PUBLIC mostly has CONNECT and TEMPORARY, and USAGE of the schema public, but not in a database that was hardened.
-- TEMPORARY is for the staging tables, where inserts compare what they bring with what is stored. That of PUBLIC is left alone, since
-- other programs may live here too, but the roles do not depend on it: REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC is welcome.
-- CREATE on the schema is taken away: functions and operators beside the tables run in everybody's queries that they fit, and a table
-- that is called like the partition of a month to come is in its way. (Where PostgreSQL 15 or newer made the schema, PUBLIC has no CREATE.)
DO $$
DECLARE
    home CONSTANT text := current_setting('pvsite_sql.home');
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO pvsite_reader, pvsite_ingestor, pvsite_admin', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO pvsite_ingestor, pvsite_admin', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    PERFORM set_config('search_path', home || ', pg_temp', TRUE);  -- for the names of tables and functions below
END
$$;

-- 4. Back to nothing. The functions are those that run with their owner's rights (SECURITY DEFINER). All but one are triggers', which
-- fire whatever the writer's rights are: EXECUTE would only let people hang them on tables of their own, with columns of types of their
-- own, whose casts would then run as the owner.
REVOKE ALL ON TABLE
clients, site_groups, users, sites, site_history, site_group_sites, inverters, status, api_request, ml_models,
generation, forecasts, forecast_values
FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin;
REVOKE ALL ON FUNCTION ensure_month_partitions, sites_exist, ml_models_exist, write_site_history
FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin;

-- 5. Reading: everything, also the emails of the users and what they asked the API for. The history of the sites is written by a
-- trigger, as its owner, and changed by nobody. The view is a security_invoker one and the
-- functions run with their caller's rights: they show what the caller sees in the tables anyway.
GRANT SELECT ON TABLE
clients, site_groups, users, sites, site_history, site_group_sites, inverters, status, api_request, ml_models,
generation, forecasts, forecast_values
TO pvsite_reader, pvsite_ingestor, pvsite_admin;
GRANT EXECUTE ON FUNCTION latest_forecast_values, missing_month_partitions TO pvsite_reader, pvsite_ingestor, pvsite_admin;

-- 6. Ingest. UPDATE is for corrections (on_conflict="update" and "replace"), column by column: keys and uuids stay as they are, and
-- UPDATE of a whole table would also be the right to LOCK it. Months are made by the function, as its owner.
GRANT INSERT ON TABLE generation, forecasts, ml_models, status, api_request TO pvsite_ingestor, pvsite_admin;
GRANT UPDATE (end_utc, generation_power_kw, created_utc) ON TABLE generation TO pvsite_ingestor, pvsite_admin;
GRANT UPDATE (created_utc, start_utc, resolution_minutes, power_kw, probabilistic_levels, probabilistic_kw)
ON TABLE forecasts TO pvsite_ingestor, pvsite_admin;
GRANT EXECUTE ON FUNCTION ensure_month_partitions, forecast_gaps TO pvsite_ingestor, pvsite_admin;

-- 7. Administration.
GRANT INSERT ON TABLE clients, inverters TO pvsite_admin;
GRANT INSERT, UPDATE, DELETE ON TABLE site_groups, users, sites TO pvsite_admin;
GRANT INSERT, DELETE ON TABLE site_group_sites TO pvsite_admin;
GRANT DELETE ON TABLE generation, forecasts TO pvsite_admin;

-- No ALTER DEFAULT PRIVILEGES: the tables that come by themselves are partitions, and rights on the table are enough for all that goes
-- through the table. Going past it is not meant; so partitions have no grants, and lose those that somebody gave the roles by hand.
-- A table that a later migration brings gets its rights here, by a decision: hence run this file again after each migration.
SET LOCAL search_path = pg_catalog, pg_temp;
DO $$
DECLARE
    home CONSTANT text := current_setting('pvsite_sql.home');
    partition regclass;
BEGIN
    FOR partition IN
        SELECT DISTINCT c.oid::regclass
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        JOIN pg_attribute AS k ON k.attrelid = c.oid
        CROSS JOIN LATERAL (SELECT x.grantee FROM aclexplode(c.relacl) AS x UNION SELECT x.grantee FROM aclexplode(k.attacl) AS x) AS a
        WHERE
            i.inhparent IN ((home || '.generation')::regclass, (home || '.forecasts')::regclass)
            AND a.grantee IN (0, 'pvsite_reader'::regrole, 'pvsite_ingestor'::regrole, 'pvsite_admin'::regrole)
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin', partition);
    END LOOP;
    -- the list of applied migrations, for repo.check(): yoyo's own, and missing where the schema came from sql/schema/ alone
    IF to_regclass(home || '._yoyo_migration') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON TABLE %s._yoyo_migration FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin', home);
        EXECUTE format('GRANT SELECT ON TABLE %s._yoyo_migration TO pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    END IF;
END
$$;

-- 8. What was promised, looked up: PostgreSQL only warns when the one who grants or revokes may not.
DO $$
DECLARE
    home CONSTANT regnamespace := current_setting('pvsite_sql.home')::regnamespace;
    owner CONSTANT regrole := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = (home::text || '.generation')::regclass);
    ours CONSTANT text[] := '{pvsite_reader, pvsite_ingestor, pvsite_admin}';
    amiss text;
    others text;
BEGIN
    SELECT string_agg(w.what, '; ') INTO amiss
    FROM (
        SELECT format('%s lacks CONNECT on the database', r.role) AS what
        FROM unnest(ours) AS r (role)
        WHERE NOT has_database_privilege(r.role, current_database(), 'CONNECT')
        UNION ALL
        SELECT format('%s lacks TEMPORARY on the database', r.role)
        FROM unnest(ours[2:]) AS r (role)
        WHERE NOT has_database_privilege(r.role, current_database(), 'TEMPORARY')
        UNION ALL
        SELECT format('%s lacks USAGE on the schema', r.role)
        FROM unnest(ours) AS r (role)
        WHERE NOT has_schema_privilege(r.role, home, 'USAGE')
        UNION ALL
        SELECT format('%s still has CREATE on the schema', r.role)
        FROM unnest('public'::text || ours) AS r (role)
        WHERE has_schema_privilege(r.role, home, 'CREATE')
        UNION ALL
        SELECT format('PUBLIC still may execute %s, which runs as %s', p.oid::regprocedure, p.proowner::regrole)
        FROM pg_proc AS p
        WHERE p.pronamespace = home AND p.proowner = owner AND p.prosecdef AND has_function_privilege('public', p.oid, 'EXECUTE')
    ) AS w;
    IF amiss IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = amiss,
            HINT = 'Nothing was changed. Run this as a superuser, or as one who owns the tables, the schema and the database.';
    END IF;
    SELECT string_agg(DISTINCT w.who::regrole::text, ', ') INTO others
    FROM (
        SELECT a.grantee AS who
        FROM pg_namespace AS n
        CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
        WHERE n.oid = home AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
        UNION ALL
        SELECT p.proowner FROM pg_proc AS p WHERE p.pronamespace = home
        UNION ALL
        SELECT o.oprowner FROM pg_operator AS o WHERE o.oprnamespace = home
    ) AS w
    WHERE w.who <> owner AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = w.who);
    IF others IS NOT NULL THEN
        RAISE WARNING 'these can put functions or operators into the schema %, where the queries of others run them: %', home, others;
    END IF;
    IF (SELECT r.rolsuper FROM pg_roles AS r WHERE r.oid = owner) THEN
        RAISE WARNING 'the tables belong to %, a superuser, and so do the functions that run with their owner''s rights', owner;
    END IF;
END
$$;

COMMIT;
