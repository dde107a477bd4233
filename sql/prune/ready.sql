-- What prune has to know before it begins. No row: search_path leads to no such table.
--
-- Parameters:
--   parent  text  generation or forecasts
-- Result: row
--   name       text         the table with its schema
--   owner      text
--   user_name  text
--   owns       boolean      whether the user may do what the owner may
--   now_utc    timestamptz  the server's time
--   month_utc  timestamptz  when this month (UTC) began
-- Index: none (catalog tables)
-- Touches: none
SELECT
    format('%I.%I', n.nspname, c.relname) AS name,
    pg_get_userbyid(c.relowner)::text AS owner,
    current_user::text AS user_name,
    pg_has_role(c.relowner, 'USAGE') AS owns,
    now() AS now_utc,
    date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month_utc
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = :'parent'::text AND c.relkind = 'p' AND pg_table_is_visible(c.oid);
