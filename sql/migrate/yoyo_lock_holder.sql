-- Who holds yoyo's lock.
--
-- Parameters: none
-- Result: row
--   pid        integer      yoyo's process, on whichever machine; below zero: the session of a `pvsite-sql migrate`
--   since_utc  timestamptz  since when, by that machine's clock
-- Index: none (one row)
-- Touches: yoyo_lock
SELECT
    y.pid,
    y.ctime AT TIME ZONE 'UTC' AS since_utc
FROM yoyo_lock AS y;
