-- List tables and partitions in publications that include updates or deletes, but without a replica identity. PostgreSQL
-- rejects an UPDATE or DELETE of such a table.
--
-- Parameters:
--   schema  text  the schema
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (catalog tables)
-- Touches: none
-- After: check/drift_settings
WITH published AS (
    SELECT
        l.oid,
        string_agg(DISTINCT quote_ident(p.pubname), ', ') AS publications
    FROM pg_publication_tables AS t
    JOIN pg_publication AS p ON p.pubname = t.pubname AND (p.pubupdate OR p.pubdelete)
    JOIN pg_class AS c ON c.relnamespace = quote_ident(t.schemaname)::regnamespace AND c.relname = t.tablename
    CROSS JOIN
        LATERAL (
            SELECT c.oid
            WHERE c.relkind = 'r'
            UNION
            -- with publish_via_partition_root, only the partitioned table is listed
            SELECT r.relid
            FROM pg_partition_tree(c.oid) AS r
            WHERE r.isleaf
        ) AS l (oid)
    WHERE
        :'schema'::text IN (
            SELECT n.nspname
            FROM pg_class AS r
            JOIN pg_namespace AS n ON n.oid = r.relnamespace
            WHERE r.oid = COALESCE(pg_partition_root(l.oid), l.oid)
        )
    GROUP BY l.oid
),

keyed AS (
    SELECT
        c.oid,
        c.relname,
        c.relreplident,
        p.publications,
        k.indexrelid IS NOT NULL AS has_key,
        h.indexrelid IS NOT NULL AS parent_has_key
    FROM published AS p
    JOIN pg_class AS c ON c.oid = p.oid
    LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary AND k.indisvalid
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    LEFT JOIN pg_index AS h ON h.indrelid = i.inhparent AND h.indisprimary
)

SELECT
    'replica identity' AS kind,
    'error' AS severity,
    'table ' || k.relname AS object,
    format(
        'is in the publication %s without a replica identity: UPDATE and DELETE fail%s',
        k.publications, CASE WHEN k.parent_has_key AND NOT k.has_key THEN '; create its primary key' ELSE '' END
    ) AS message,
    CASE
        WHEN k.has_key THEN format('ALTER TABLE %s REPLICA IDENTITY DEFAULT;', k.oid::regclass)
        WHEN k.parent_has_key THEN ''
        ELSE format('ALTER TABLE %s REPLICA IDENTITY FULL;', k.oid::regclass)
    END AS sql
FROM keyed AS k
WHERE
    k.relreplident <> 'f'
    AND NOT (k.relreplident = 'd' AND k.has_key)
    AND NOT EXISTS (
        SELECT FROM pg_index AS x
        WHERE x.indrelid = k.oid AND k.relreplident = 'i' AND x.indisreplident AND x.indisvalid
    )
ORDER BY k.relname;
