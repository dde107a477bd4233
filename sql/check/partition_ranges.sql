-- List the bounds of the partitions of a table, newest first, except default and half-detached partitions.
--
-- Parameters:
--   schema  text  the schema
--   parent  text  generation or forecasts
-- Result: row
--   start_utc  text  lower bound; -infinity: none
--   end_utc    text  upper bound, exclusive; infinity: none
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
SELECT
    COALESCE(b.bound[1], '-infinity') AS start_utc,
    COALESCE(b.bound[2], 'infinity') AS end_utc
FROM pg_class AS t
JOIN pg_namespace AS n ON n.oid = t.relnamespace
JOIN pg_inherits AS i ON i.inhparent = t.oid AND NOT i.inhdetachpending
JOIN pg_class AS p ON p.oid = i.inhrelid
CROSS JOIN
    LATERAL regexp_match(
        pg_get_expr(p.relpartbound, p.oid), 'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)'
    ) AS b (bound)
WHERE n.nspname = :'schema'::text AND t.relname = :'parent'::text AND b.bound IS NOT NULL
ORDER BY COALESCE(b.bound[2], 'infinity')::timestamptz DESC;
