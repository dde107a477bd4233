-- Gives yoyo's lock back, if it is still this session's.
--
-- Parameters: none
-- Result: none
-- Index: none (one row)
-- Touches: yoyo_lock
DELETE FROM yoyo_lock
WHERE pid = -pg_backend_pid();
