-- Month partitions of `generation` and `forecasts`. There is no default partition: a month is made before rows of it come.
-- Functions and operators of any type are written with pg_catalog in front, as in 10_integrity.sql: one makes tables as their owner.
CREATE OR REPLACE FUNCTION missing_month_partitions(parent text, months date[]) RETURNS SETOF date
LANGUAGE plpgsql STABLE STRICT SET datestyle = 'ISO' SET timezone = 'UTC' AS $$
DECLARE
    root CONSTANT oid := parent::regclass;
    doubtful date[];
BEGIN
    -- by name: the usual case, a few index look-ups
    doubtful := ARRAY(
        SELECT DISTINCT pg_catalog.date_trunc('month', m.month)::date
        FROM pg_catalog.unnest(months) AS m (month)
        WHERE NOT EXISTS (
            SELECT FROM pg_class AS c
            JOIN pg_inherits AS i ON i.inhrelid = c.oid
            WHERE c.relname = parent || pg_catalog.to_char(m.month, '"_p"YYYY_MM') AND i.inhparent = root AND NOT i.inhdetachpending
        )
    );
    IF pg_catalog.cardinality(doubtful) = 0 THEN
        RETURN;
    END IF;
    -- by bounds: months that partitions of other names or widths cover
    RETURN QUERY
    SELECT d.month
    FROM pg_catalog.unnest(doubtful) AS d (month)
    CROSS JOIN (
        SELECT COALESCE(pg_catalog.range_agg(tstzrange(b.bound[1]::timestamptz, b.bound[2]::timestamptz)), '{}') AS ranges
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL regexp_match(
            pg_get_expr(c.relpartbound, c.oid), 'FROM \((?:''(.+)''|MINVALUE)\) TO \((?:''(.+)''|MAXVALUE)\)'
        ) AS b (bound)
        WHERE i.inhparent = root AND NOT i.inhdetachpending
    ) AS covered
    WHERE NOT covered.ranges OPERATOR(pg_catalog.@>) tstzrange(d.month::timestamptz, (d.month + interval '1 month')::timestamptz)
    ORDER BY d.month;
END
$$;
COMMENT ON FUNCTION missing_month_partitions(text, date[]) IS
'Which of the months (UTC) that the dates lie in have no partition of the table yet, ascending';

CREATE OR REPLACE FUNCTION ensure_month_partitions(parent text, months date[]) RETURNS text[]
LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER SET lock_timeout = '2s' SET timezone = 'UTC' SET default_tablespace = '' AS $$
DECLARE
    home text;
    month date;
    partition text;
    made text[] := '{}';
BEGIN
    IF parent NOT IN ('generation', 'forecasts') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'invalid_parameter_value', MESSAGE = pg_catalog.format('%I has no month partitions', parent);
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.unnest(months) AS m (month) WHERE (m.month >= '1970-01-01' AND m.month < '2100-01-01') IS NOT TRUE) THEN
        RAISE EXCEPTION USING ERRCODE = 'datetime_field_overflow', MESSAGE = 'a month outside of 1970 to 2099';
    END IF;
    -- each table that is made keeps a few of the locks that all databases of the server share
    IF pg_catalog.cardinality(months) > 240 THEN
        RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE = 'more than 240 months at once';
    END IF;
    -- nothing to do is the common case, and takes no lock
    IF NOT EXISTS (SELECT FROM missing_month_partitions(parent, months)) THEN
        RETURN made;
    END IF;
    SELECT pg_catalog.quote_ident(n.nspname) INTO STRICT home
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = parent::regclass::oid;
    -- one maker at a time, by the very lock that ATTACH PARTITION takes; readers and writers go on
    EXECUTE pg_catalog.format('LOCK TABLE ONLY %s.%I IN SHARE UPDATE EXCLUSIVE MODE', home, parent);
    FOR month IN SELECT m FROM missing_month_partitions(parent, months) AS m LOOP  -- again: another maker may have been first
        partition := parent || pg_catalog.to_char(month, '"_p"YYYY_MM');
        EXECUTE pg_catalog.format('CREATE TABLE %1$s.%2$I (LIKE %1$s.%3$I INCLUDING ALL)', home, partition, parent);
        -- the table's own triggers do not fire for a write that names the partition, and LIKE does not copy them
        EXECUTE pg_catalog.format(
            'CREATE TRIGGER %3$s_sites_exist AFTER INSERT ON %1$s.%2$I REFERENCING NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION %1$s.sites_exist(''%3$s_site_uuid_fkey'')', home, partition, parent);
        IF parent = 'generation' THEN
            EXECUTE pg_catalog.format(
                'CREATE TRIGGER generation_key_is_fixed BEFORE UPDATE OF site_uuid, start_utc ON %1$s.%2$I '
                'FOR EACH STATEMENT EXECUTE FUNCTION %1$s.key_is_fixed(''generation'')', home, partition);
        ELSE
            EXECUTE pg_catalog.format(
                'CREATE TRIGGER forecasts_ml_models_exist AFTER INSERT ON %1$s.%2$I REFERENCING NEW TABLE AS new_rows '
                'FOR EACH STATEMENT EXECUTE FUNCTION %1$s.ml_models_exist(''forecasts_ml_model_uuid_fkey'')', home, partition);
            EXECUTE pg_catalog.format(
                'CREATE TRIGGER forecasts_key_is_fixed BEFORE UPDATE OF site_uuid, timestamp_utc, ml_model_uuid, forecast_version '
                'ON %1$s.%2$I FOR EACH STATEMENT EXECUTE FUNCTION %1$s.key_is_fixed(''forecasts'')', home, partition);
        END IF;
        EXECUTE pg_catalog.format(
            'ALTER TABLE %1$s.%2$I ATTACH PARTITION %1$s.%3$I FOR VALUES FROM (%4$L) TO (%5$L)', home, parent, partition,
            pg_catalog.to_char(month, 'YYYY-MM-DD"T00:00:00Z"'), pg_catalog.to_char(month + interval '1 month', 'YYYY-MM-DD"T00:00:00Z"'));
        made := pg_catalog.array_append(made, partition);
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION ensure_month_partitions(text, date[]) IS
'Makes the partitions of generation or forecasts for the months (UTC) that the dates lie in, and returns the names of '
'those that were missing. Runs with its owner''s rights: whoever inserts needs EXECUTE on it, '
'but no right to create tables';

DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION missing_month_partitions(text, date[]) SET search_path = pg_catalog, %I, pg_temp', current_schema());
    EXECUTE format(
        'ALTER FUNCTION ensure_month_partitions(text, date[]) SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
REVOKE ALL ON FUNCTION ensure_month_partitions(text, date[]) FROM public;
