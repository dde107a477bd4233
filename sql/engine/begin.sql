-- Set the timeouts and the actor of a transaction, and switch JIT compilation and notices off. The settings end with
-- the transaction, so the next user of the connection does not inherit them. Notices: an exception of a Python signal
-- handler is lost, or ends the program, if the handler runs while psycopg receives one.
--
-- Parameters:
--   statement_timeout_ms  integer  0: no timeout; -1: keep the current setting
--   lock_timeout_ms       integer  likewise
--   idle_timeout_ms       integer  likewise, for a transaction without a running statement
--   fill_in               boolean  whether to keep timeouts that the server, the role or the connection sets
--   actor                 text     who writes, for the history of sites; empty: unknown
--   jit                   boolean  whether to keep the setting of the server; false: off
-- Result: row
--   setting  text
-- Index: none (settings)
-- Touches: none
SELECT set_config(limits.name, limits.milliseconds::text, TRUE) AS setting
FROM (
    VALUES
    ('statement_timeout', :'statement_timeout_ms'::integer),
    ('lock_timeout', :'lock_timeout_ms'::integer),
    ('idle_in_transaction_session_timeout', :'idle_timeout_ms'::integer)
) AS limits (name, milliseconds)
WHERE limits.milliseconds >= 0 AND NOT (:'fill_in'::boolean AND current_setting(limits.name) <> '0')
UNION ALL
SELECT set_config('pvsite_sql.actor', :'actor'::text, TRUE) AS setting
UNION ALL
SELECT set_config('jit', 'off', TRUE) AS setting
WHERE NOT :'jit'::boolean
UNION ALL
SELECT set_config('client_min_messages', 'warning', TRUE) AS setting
WHERE current_setting('client_min_messages') <> ALL('{warning,error}'::text[]);
