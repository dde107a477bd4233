-- Set the statement timeout of this transaction.
--
-- Parameters:
--   milliseconds  integer  for each statement
-- Result: row
--   statement_timeout  text
-- Index: none (no table)
-- Touches: none
SELECT set_config('statement_timeout', :'milliseconds'::integer::text, TRUE) AS statement_timeout;
