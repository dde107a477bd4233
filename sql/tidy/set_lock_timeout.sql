-- Set the lock timeout of the session.
--
-- Parameters:
--   milliseconds  integer  at least 1
-- Result: row
--   lock_timeout  text
-- Index: none (no table)
-- Touches: none
SELECT set_config('lock_timeout', :'milliseconds'::integer::text, FALSE) AS lock_timeout;
