-- Three group roles with the least privileges that they need. This file is not a migration, because roles belong to the whole cluster.
--
--   pvsite_reader    reads: dashboards, an API that only reads
--   pvsite_ingestor  reads, and writes readings, forecasts, status messages and API requests
--   pvsite_admin     runs every method of the package: it also creates, changes and deletes sites, users, groups and readings
--
-- The roles cannot log in. Programs and people become members of them:
--
--     CREATE ROLE meter_feed LOGIN IN ROLE pvsite_ingestor;
--
-- The roles own nothing, so they cannot migrate, drop or truncate. Only the owner of the tables can do that. Use a fourth role as the
-- owner, and use it only for migrations. It should not be a superuser, because some functions run with its privileges.
--
-- Run this file after each migration, as a superuser or as the owner (who needs CREATEROLE if the roles do not exist yet):
--
--     psql -v ON_ERROR_STOP=1 -f sql/schema/roles.sql
--
-- It changes the schema in which search_path finds the tables, completely or not at all, and does not block readers or writers. You can
-- run it again at any time. Each run first revokes all privileges of the three roles and PUBLIC, so they have only the grants below.
BEGIN;

-- 1. Find the tables. From here on, search_path finds only PostgreSQL's own functions and operators.
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

-- 2. Create the roles if the cluster does not have them yet. All databases of the cluster share them: a member is a member in each
-- database, and the privilege CONNECT decides which databases it can use.
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

-- 3. Access to the database and the schema. By default PUBLIC has CONNECT, TEMPORARY and USAGE on the schema public, but not in a
-- hardened database. Inserts need TEMPORARY for their staging tables. The TEMPORARY privilege of PUBLIC is not revoked, because other
-- programs may need it; the roles do not need it, so you can run REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC.
-- CREATE on the schema is revoked: functions and operators in it could be called by the queries of other users, and a table with the
-- name of a future partition would prevent its creation. (In a schema that PostgreSQL 15 or newer created, PUBLIC has no CREATE.)
DO $$
DECLARE
    home CONSTANT text := current_setting('pvsite_sql.home');
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO pvsite_reader, pvsite_ingestor, pvsite_admin', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO pvsite_ingestor, pvsite_admin', current_database());
    EXECUTE format('REVOKE CREATE ON SCHEMA %s FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    PERFORM set_config('search_path', home || ', pg_temp', TRUE);  -- for the tables and functions below
END
$$;

-- 4. Revoke everything. The functions below are SECURITY DEFINER: they run with the privileges of their owner. All but one are trigger
-- functions. Triggers fire without EXECUTE; with it, users could create triggers on their own tables, with columns of their own types,
-- whose casts would then run with the privileges of the owner.
REVOKE ALL ON TABLE
clients, site_groups, users, sites, site_history, site_group_sites, inverters, status, api_request, ml_models,
generation, forecasts, forecast_values
FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin;
REVOKE ALL ON FUNCTION ensure_month_partitions, sites_exist, sites_ml_id, ml_models_exist, write_site_history
FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin;

-- 5. Reading. The roles read everything, including emails of users and their API requests. The history of the sites is written by a
-- trigger with the privileges of its owner, and no role may change it. The view is security_invoker and the functions are SECURITY
-- INVOKER, so they return only what the caller may read in the tables.
GRANT SELECT ON TABLE
clients, site_groups, users, sites, site_history, site_group_sites, inverters, status, api_request, ml_models,
generation, forecasts, forecast_values
TO pvsite_reader, pvsite_ingestor, pvsite_admin;
GRANT EXECUTE ON FUNCTION
latest_forecast_pieces,
latest_forecast_values(
    uuid[], timestamptz, timestamptz, timestamptz, timestamptz, integer, integer, text, text[], boolean, integer, integer, text
),
latest_forecast_values(uuid[], timestamptz, timestamptz, timestamptz, integer, text, integer, text),
day_ahead_start(timestamptz, integer, integer, text),
day_ahead_start(timestamptz, integer, text),
missing_month_partitions
TO pvsite_reader, pvsite_ingestor, pvsite_admin;

-- 6. Writing readings and forecasts. UPDATE is for corrections (on_conflict="update" and "replace"). It is granted on columns: keys and
-- uuids must not change, and UPDATE on a table would also allow LOCK TABLE. The function creates partitions as its owner.
GRANT INSERT ON TABLE generation, forecasts, ml_models, status, api_request TO pvsite_ingestor, pvsite_admin;
GRANT UPDATE (end_utc, generation_power_kw, created_utc) ON TABLE generation TO pvsite_ingestor, pvsite_admin;
GRANT UPDATE (created_utc, start_utc, resolution_minutes, power_kw, probabilistic_levels, probabilistic_kw)
ON TABLE forecasts TO pvsite_ingestor, pvsite_admin;
GRANT EXECUTE ON FUNCTION ensure_month_partitions, forecast_gaps TO pvsite_ingestor, pvsite_admin;

-- 7. Administration.
GRANT INSERT, UPDATE, DELETE ON TABLE clients, site_groups, users, sites TO pvsite_admin;
GRANT UPDATE (description) ON TABLE ml_models TO pvsite_admin;
GRANT INSERT, DELETE ON TABLE site_group_sites, inverters TO pvsite_admin;
GRANT DELETE ON TABLE generation, forecasts TO pvsite_admin;

-- There are no ALTER DEFAULT PRIVILEGES. The only tables that are created automatically are partitions, and privileges on the
-- partitioned table are enough for access through it. Direct access to partitions is not intended, so grants on them are revoked here.
-- Each table of a later migration needs grants in this file, so run it again after each migration.
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
    -- yoyo's list of applied migrations, for repo.check(). It does not exist if only sql/schema/ was used to create the schema
    IF to_regclass(home || '._yoyo_migration') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON TABLE %s._yoyo_migration FROM public, pvsite_reader, pvsite_ingestor, pvsite_admin', home);
        EXECUTE format('GRANT SELECT ON TABLE %s._yoyo_migration TO pvsite_reader, pvsite_ingestor, pvsite_admin', home);
    END IF;
END
$$;

-- 8. Verify the result, because PostgreSQL only warns if the user may not grant or revoke a privilege.
DO $$
DECLARE
    home CONSTANT regnamespace := current_setting('pvsite_sql.home')::regnamespace;
    owner CONSTANT regrole := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = (home::text || '.generation')::regclass);
    ours CONSTANT text[] := '{pvsite_reader, pvsite_ingestor, pvsite_admin}';
    problems text;
    others text;
BEGIN
    SELECT string_agg(w.what, '; ') INTO problems
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
    IF problems IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = problems,
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
