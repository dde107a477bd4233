-- Return when the current transaction began, in microseconds since 1970. It tells one transaction of a session from
-- another, so that a COMMIT in a caller's own SQL is noticed.
--
-- Parameters: none
-- Result: row
--   begun_us  bigint
-- Index: none (a constant)
-- Touches: none
SELECT (extract(EPOCH FROM transaction_timestamp()) * 1000000)::bigint AS begun_us;
