-- What a transaction begins with: how long its statements may run and wait, and on whose behalf it writes. All of it
-- ends with the transaction, so that nothing is left on the connection for whoever borrows it next.
--
-- Parameters:
--   statement_timeout_ms  integer  0: no limit; -1: as it is
--   lock_timeout_ms       integer  the same
--   idle_timeout_ms       integer  the same, between two statements
--   fill_in               boolean  whether a limit that the server, the role or the connection has stays
--   actor                 text     who writes, for the history of sites; empty: not known
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
SELECT set_config('pvsite_sql.actor', :'actor'::text, TRUE) AS setting;
