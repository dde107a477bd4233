-- Find the table to prune, its owner and the current time. No row if search_path does not contain the table.
--
-- Parameters:
--   parent  text  generation or forecasts
-- Result: row
--   name        text         the table with the schema
--   owner       text
--   user_name   text
--   is_owner    boolean      whether the user has the privileges of the owner
--   may_delete  boolean      whether the user may read, lock and delete rows
--   now_utc     timestamptz  the server's time
--   month_utc   timestamptz  start of the current month (UTC)
-- Index: none (catalog tables)
-- Touches: none
SELECT
    format('%I.%I', n.nspname, c.relname) AS name,
    pg_get_userbyid(c.relowner)::text AS owner,
    current_user::text AS user_name,
    pg_has_role(c.relowner, 'USAGE') AS is_owner,
    has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'DELETE')
    AND has_any_column_privilege(c.oid, 'UPDATE') AS may_delete,
    now() AS now_utc,
    date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month_utc
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = :'parent'::text AND c.relkind = 'p' AND pg_table_is_visible(c.oid);
