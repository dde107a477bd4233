-- The next statements of this transaction give up after so long, whatever they wait for.
--
-- Parameters:
--   milliseconds  integer  how long each may last
-- Result: row
--   set  text
-- Index: none (no table)
-- Touches: none
SELECT set_config('statement_timeout', :'milliseconds'::integer::text, TRUE) AS set;
