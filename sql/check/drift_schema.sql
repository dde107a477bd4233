-- Find the schema in which search_path finds the tables. If it finds them in several schemas, return the one with the
-- most tables. No row if it finds none.
--
-- Parameters:
--   tables  text[]  names of the expected tables
-- Result: row
--   name    text
--   quoted  text  the same, quoted as an identifier
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
