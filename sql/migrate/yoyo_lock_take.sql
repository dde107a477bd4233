-- Take yoyo's own lock, a row that keeps a plain yoyo apply out. Requires the lock run of migrate/try_lock. In the
-- row of a yoyo process, pid is the process id, on any machine; here it is the negated pid of this session. An
-- existing row is replaced if its owner must be gone: either it belongs to pvsite-sql migrate (whose session would
-- still hold the lock run), or no one else is connected to the database (yoyo stays connected). No row if another
-- process may still hold the lock.
--
-- Parameters: none
-- Result: row
--   pid  integer  the negated pid of this session
-- Index: yoyo_lock_pkey
-- Touches: yoyo_lock
INSERT INTO yoyo_lock AS y (locked, ctime, pid)
VALUES (1, clock_timestamp() AT TIME ZONE 'UTC', -pg_backend_pid())
ON CONFLICT (locked) DO UPDATE
    SET ctime = excluded.ctime, pid = excluded.pid
    WHERE
    y.pid < 0
    OR NOT EXISTS (
        SELECT 1
        FROM pg_stat_activity AS a
        WHERE
            a.datname = current_database()
            AND a.pid <> pg_backend_pid()
            AND a.usesysid IS NOT NULL
            -- NULL for other roles' sessions if it is not visible: count them
            AND COALESCE(a.backend_type, 'client backend') = 'client backend'
    )
RETURNING y.pid;
