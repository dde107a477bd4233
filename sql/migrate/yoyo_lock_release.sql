-- Release yoyo's lock if this session holds it.
--
-- Parameters: none
-- Result: none
-- Index: none (one row)
-- Touches: yoyo_lock
DELETE FROM yoyo_lock
WHERE pid = -pg_backend_pid();
