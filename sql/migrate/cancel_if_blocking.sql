-- Cancel the statement of a session that has blocked another session for too long, or that waits for a session it
-- blocks, before that becomes a deadlock. Return the blocked session; no row if nothing was cancelled.
--
-- Parameters:
--   pid      integer           the session that may block others
--   limit_s  double precision  how long it may block another session, in seconds
-- Result: row
--   blocked_pid  integer           the session that has waited longest
--   waited_s     double precision  how long it has waited, in seconds
--   cancelled    boolean           whether the server sent the signal
-- Index: none (system views)
-- Touches: none
SELECT
    b.blocked_pid,
    b.waited_s,
    pg_cancel_backend(:'pid'::integer) AS cancelled
FROM (
    SELECT
        l.pid AS blocked_pid,
        COALESCE(extract(EPOCH FROM clock_timestamp() - l.waitstart), 0)::double precision AS waited_s
    FROM pg_locks AS l
    WHERE
        NOT l.granted
        AND l.pid <> :'pid'::integer
        AND :'pid'::integer = ANY(pg_blocking_pids(l.pid))
        AND (
            l.waitstart < clock_timestamp() - make_interval(secs => :'limit_s'::double precision)
            OR l.pid = ANY(pg_blocking_pids(:'pid'::integer))
        )
    ORDER BY l.waitstart
    LIMIT 1
) AS b;
