-- Takes yoyo's own lock, a row, under which a plain `yoyo apply` stays out. Needs the lock `run` of migrate/try_lock.
-- The row's pid is yoyo's process, somewhere; here it is this session's, below zero. A row that is there is taken over
-- where its owner is surely gone: it is one of these (its session would hold `run`), or nobody else is connected to the
-- database (yoyo is, all the time). No row where somebody may hold the lock.
--
-- Parameters: none
-- Result: row
--   pid  integer  this session's, below zero
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
            -- of other roles' sessions it may not be visible: they count
            AND COALESCE(a.backend_type, 'client backend') = 'client backend'
    )
RETURNING y.pid;
