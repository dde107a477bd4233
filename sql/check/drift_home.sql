-- The schema in which search_path finds the tables: of several that of most of them. No row where there is none.
--
-- Parameters:
--   tables  text[]  the names of the tables that there should be
-- Result: row
--   name    text  the schema
--   quoted  text  the same as an identifier in SQL
-- Index: none (catalog tables)
-- Touches: none
SELECT
    n.nspname::text AS name,
    quote_ident(n.nspname) AS quoted
FROM set_config('quote_all_identifiers', 'off', TRUE)
CROSS JOIN unnest(:'tables'::text[]) AS t (name)
JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.name))
JOIN pg_namespace AS n ON n.oid = c.relnamespace
GROUP BY n.nspname
ORDER BY count(*) DESC, n.nspname
LIMIT 1;
