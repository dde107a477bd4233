-- Cancels the statement of a session that keeps another one waiting for too long, or that waits for the very one that
-- waits for it, which would soon be a deadlock. Says for whose sake; no row where nobody has to complain.
--
-- Parameters:
--   pid      integer           the session that may be in the way
--   limit_s  double precision  how long others may wait for it, in seconds
-- Result: row
--   held_up_pid  integer           the session that has waited longest
--   waited_s     double precision  for how long, in seconds
--   cancelled    boolean           whether the signal was sent
-- Index: none (no tables: what the server says of its sessions)
-- Touches: none
SELECT
    h.held_up_pid,
    h.waited_s,
    pg_cancel_backend(:'pid'::integer) AS cancelled
FROM (
    SELECT
        l.pid AS held_up_pid,
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
) AS h;
