-- Return the lock timeout of the current transaction, in milliseconds; 0 means no timeout.
--
-- Parameters: none
-- Result: row
--   milliseconds  integer
-- Index: none (settings)
-- Touches: none
SELECT s.setting::integer AS milliseconds
FROM pg_settings AS s
WHERE s.name = 'lock_timeout';
