-- depends: 0002.site-history
-- A primary key of forecasts, which logical replication needs to identify the rows. It also replaces the index on forecast_uuid, since it
-- starts with that column.
--
-- The lock is ACCESS EXCLUSIVE, so it must be short. `pvsite-sql migrate` builds the index of each partition beforehand, without blocking
-- (sql/migrate/forecasts_pkey_indexes.sql). Here they only become the keys of their partitions. Partitions without such an index get one
-- here, unless that would take long.
DO $$
DECLARE
    most CONSTANT bigint := 128 * 1024 * 1024;  -- read and indexed in about a second
    unindexed bigint;
    statement text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = 'forecasts'::regclass AND k.contype = 'p') THEN
        SELECT sum(pg_relation_size(t.relid)) INTO unindexed
        FROM pg_partition_tree('forecasts') AS t
        JOIN pg_class AS c ON c.oid = t.relid
        WHERE
            t.isleaf
            AND c.relkind = 'r'
            AND NOT EXISTS (
                SELECT FROM pg_index AS i
                JOIN pg_class AS x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisvalid AND (i.indisprimary OR x.relname = left(c.relname, 58) || '_pkey')
            );
        IF unindexed > most THEN
            RAISE EXCEPTION USING
                ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format(
                    'forecasts has %s without an index for its primary key: building it now would block readers and writers',
                    pg_size_pretty(unindexed)
                ),
                HINT = 'Run `pvsite-sql migrate`, which builds the indexes without blocking. '
                       'Or run the statements that sql/migrate/forecasts_pkey_indexes.sql prints, then apply this migration again.';
        END IF;
        LOCK TABLE forecasts IN ACCESS EXCLUSIVE MODE;
        FOR statement IN
            SELECT format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', t.relid, x.relname, x.relname)
            FROM pg_partition_tree('forecasts') AS t
            JOIN pg_class AS c ON c.oid = t.relid
            JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid AND i.indisunique
            JOIN pg_class AS x ON x.oid = i.indexrelid AND x.relname = left(c.relname, 58) || '_pkey'
            WHERE t.isleaf AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype = 'p')
        LOOP
            EXECUTE statement;
        END LOOP;
        ALTER TABLE forecasts ADD CONSTRAINT forecasts_pkey PRIMARY KEY (forecast_uuid, site_uuid, timestamp_utc);
    END IF;
END
$$;
COMMENT ON CONSTRAINT forecasts_pkey ON forecasts IS
'Finds a forecast by its uuid. The other columns are there because a key must contain the partition key, and for replication';
-- an index of a partitioned table cannot be dropped concurrently, and the lock is held already
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS forecasts_forecast_uuid_idx;
