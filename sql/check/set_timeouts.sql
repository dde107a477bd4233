-- Set the statement timeout and the lock timeout until the transaction ends. The lock timeout is at most 2 seconds.
--
-- Parameters:
--   milliseconds  integer  at least 1
-- Result: row
--   statement_timeout  text
--   lock_timeout       text
-- Index: none (no table)
-- Touches: none
SELECT
    set_config('statement_timeout', :'milliseconds'::integer::text, TRUE) AS statement_timeout,
    set_config('lock_timeout', LEAST(:'milliseconds'::integer, 2000)::text, TRUE) AS lock_timeout;
