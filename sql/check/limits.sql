-- Until the transaction ends: no statement takes longer than this, nor waits longer for a lock.
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
