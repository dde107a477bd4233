-- Show who holds yoyo's lock.
--
-- Parameters: none
-- Result: row
--   pid        integer      process id of yoyo, on any machine; negative: session of `pvsite-sql migrate`
--   since_utc  timestamptz  when it took the lock, by the clock of that machine
-- Index: none (one row)
-- Touches: yoyo_lock
SELECT
    y.pid,
    y.ctime AT TIME ZONE 'UTC' AS since_utc
FROM yoyo_lock AS y;
