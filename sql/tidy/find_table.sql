-- Find the table to tidy, its owner and the current month. No row if search_path does not contain the table.
--
-- Parameters:
--   parent  text  generation or forecasts
-- Result: row
--   schema     text         its schema
--   name       text         the table with the schema
--   owner      text
--   user_name  text
--   is_owner   boolean      whether the user has the privileges of the owner
--   month_utc  timestamptz  start of the current month (UTC)
-- Index: none (catalog tables)
-- Touches: none
SELECT
    n.nspname::text AS schema,
    format('%I.%I', n.nspname, c.relname) AS name,
    pg_get_userbyid(c.relowner)::text AS owner,
    current_user::text AS user_name,
    pg_has_role(c.relowner, 'USAGE') AS is_owner,
    date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month_utc
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = :'parent'::text AND c.relkind = 'p' AND pg_table_is_visible(c.oid);
