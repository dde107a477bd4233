-- Limits, for the rest of a session, how long it waits for a lock and how long it may keep a transaction open without
-- a word: a process that is frozen in the middle of a migration would keep its locks.
--
-- Parameters:
--   lock_timeout_ms  integer  for each lock, in milliseconds; 0: no limit
--   idle_timeout_ms  integer  for a transaction without a statement under way, in milliseconds; 0: no limit
-- Result: row
--   lock_timeout  text  as it is set now
--   idle_timeout  text  as it is set now
-- Index: none (no tables)
-- Touches: none
SELECT
    set_config('lock_timeout', :'lock_timeout_ms'::integer::text, FALSE) AS lock_timeout,
    set_config('idle_in_transaction_session_timeout', :'idle_timeout_ms'::integer::text, FALSE) AS idle_timeout;
