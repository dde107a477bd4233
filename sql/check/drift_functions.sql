-- List the functions of the schema as facts: body, SECURITY DEFINER or INVOKER, settings, and whether PUBLIC may
-- execute a SECURITY DEFINER function (see check/drift_tables).
--
-- Parameters:
--   schema  text  the schema
-- Result: row
--   kind          text
--   object        text
--   part_of       text
--   definition    text
--   severity      text
--   drop_sql      text
--   create_sql    text
--   fix_sql       text
--   create_order  bigint
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
SELECT
    f.kind,
    f.object,
    f.part_of,
    f.definition,
    'error' AS severity,
    f.drop_sql,
    f.create_sql,
    f.fix_sql,
    -- CREATE FUNCTION checks the bodies of the others against the tables
    CASE l.lanname WHEN 'plpgsql' THEN 0 ELSE p.oid::bigint END AS create_order
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_language AS l ON l.oid = p.prolang
CROSS JOIN
    LATERAL (
        VALUES
        (
            format('function %s(%s)', p.proname, oidvectortypes(p.proargtypes)),
            concat_ws(
                ' ',
                CASE p.prokind WHEN 'p' THEN NULL ELSE 'RETURNS ' || pg_get_function_result(p.oid) END,
                'LANGUAGE ' || l.lanname,
                CASE p.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
                CASE p.proparallel WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' END,
                CASE WHEN p.proisstrict THEN 'STRICT' END,
                CASE WHEN p.proleakproof THEN 'LEAKPROOF' END,
                'COST ' || p.procost,
                CASE WHEN p.proretset THEN 'ROWS ' || p.prorows END
            ),
            CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' ELSE 'SECURITY INVOKER' END
        )
    ) AS t (name, attributes, rights)
CROSS JOIN
    LATERAL (
        -- schema names are already quoted where necessary, other values are not
        SELECT
            string_agg(format('SET %s = %s', s.name, s.value), ' ' ORDER BY s.name) AS settings,
            string_agg(format(E'\nALTER FUNCTION %s SET %s = %s;', p.oid::regprocedure, s.name, s.value), '' ORDER BY s.name) AS altered
        FROM (
            SELECT
                split_part(u.setting, '=', 1) AS name,
                CASE split_part(u.setting, '=', 1)
                    WHEN 'search_path' THEN substr(u.setting, 13)
                    ELSE quote_literal(substr(u.setting, strpos(u.setting, '=') + 1))
                END AS value
            FROM unnest(p.proconfig) AS u (setting)
        ) AS s
    ) AS c
CROSS JOIN
    LATERAL (
        VALUES
        (
            1,
            'function',
            t.name,
            '',
            -- without indentation and blank lines, which change when a body is pasted from the output of `check`
            format(
                '(%s) %s, body %s', pg_get_function_arguments(p.oid), t.attributes,
                md5(regexp_replace(p.prosrc, '\s*\n\s*', E'\n', 'g'))
            ),
            '',
            format(
                E'CREATE OR REPLACE FUNCTION %s.%I(%s)\n%s AS $function$%s$function$;',
                quote_ident(n.nspname), p.proname, pg_get_function_arguments(p.oid),
                concat_ws(' ', t.attributes, t.rights, c.settings), p.prosrc
            ),
            ''
        ),
        (
            2,
            'function rights',
            'rights of ' || t.name,
            t.name,
            t.rights,
            '',
            '',
            format('ALTER FUNCTION %s %s;', p.oid::regprocedure, t.rights)
        ),
        (
            3,
            'function settings',
            'settings of ' || t.name,
            t.name,
            COALESCE(c.settings, ''),
            '',
            '',
            format('ALTER FUNCTION %s RESET ALL;', p.oid::regprocedure) || COALESCE(c.altered, '')
        ),
        (
            4,
            'privilege',
            'EXECUTE on ' || t.name,
            t.name,
            CASE
                WHEN p.prosecdef AND has_function_privilege('public', p.oid, 'EXECUTE') THEN 'granted to PUBLIC, with its owner''s rights'
                ELSE ''
            END,
            '',
            CASE WHEN p.prosecdef THEN format('REVOKE EXECUTE ON FUNCTION %s FROM public;', p.oid::regprocedure) ELSE '' END,
            format('REVOKE EXECUTE ON FUNCTION %s FROM public;', p.oid::regprocedure)
        )
    ) AS f (position, kind, object, part_of, definition, drop_sql, create_sql, fix_sql)
WHERE
    n.nspname = :'schema'::text
    AND p.prokind IN ('f', 'p')
    AND NOT EXISTS (
        SELECT FROM pg_depend AS e
        WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
    )
ORDER BY create_order, p.oid, f.position;
