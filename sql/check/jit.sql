-- Report that sessions of this user compile queries: jit is on, and the server has the library for it (LLVM).
--
-- Parameters: none
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (settings)
-- Touches: none
SELECT
    'setting' AS kind,
    'information' AS severity,
    'setting jit' AS object,
    'is on, so a query of many partitions may spend seconds on its compilation: pvsite_sql turns it off in its own '
    'transactions; run this for psql and dashboards, or ALTER ROLE for some of them' AS message,
    format('ALTER DATABASE %I SET jit = off;', current_database()) AS sql
FROM pg_settings AS s
WHERE s.name = 'jit' AND s.reset_val = 'on' AND pg_jit_available();
