-- Set the timeouts for the rest of the session: for waiting for a lock, and for an open transaction without a running
-- statement. The second one matters if the process is suspended during a migration: it would keep its locks. A statement
-- timeout of the role or database is turned off: building an index may take long, and blocks no one.
--
-- Parameters:
--   lock_timeout_ms  integer  0: no timeout
--   idle_timeout_ms  integer  0: no timeout
-- Result: row
--   lock_timeout       text  the new setting
--   idle_timeout       text  the new setting
--   statement_timeout  text  the new setting
-- Index: none (no tables)
-- Touches: none
SELECT
    set_config('lock_timeout', :'lock_timeout_ms'::integer::text, FALSE) AS lock_timeout,
    set_config('idle_in_transaction_session_timeout', :'idle_timeout_ms'::integer::text, FALSE) AS idle_timeout,
    set_config('statement_timeout', '0', FALSE) AS statement_timeout;
