-- Undo what a caller's own SQL may have left in the session: settings, roles, temporary tables, prepared statements,
-- cursors, LISTEN and advisory locks. It cannot run inside a transaction block.
--
-- Parameters: none
-- Result: none
-- Index: none (no table)
-- Touches: none
DISCARD ALL;
