-- Report the finished months of a table that `pvsite-sql tidy` would improve.
--
-- Parameters:
--   parent      text              generation or forecasts
--   due         text[]            months to reindex or vacuum
--   scattered   text[]            months whose rows are not in order
--   spread      double precision  the largest of their check/layout
--   checked     integer           how many months were checked
--   partitions  integer           how many months are over
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  SQL that fixes it; empty: no statement does
-- Index: none (no table)
-- Touches: none
SELECT
    f.kind,
    'information' AS severity,
    'table ' || :'parent'::text AS object,
    f.message,
    '' AS sql
FROM (
    SELECT
        'layout' AS kind,
        format(
            'has %s finished month(s) that `pvsite-sql tidy` would reindex or vacuum: %s%s',
            cardinality(n.names), array_to_string(n.names[1:5], ', '), CASE WHEN cardinality(n.names) > 5 THEN ', ...' ELSE '' END
        ) AS message
    FROM (SELECT :'due'::text[] AS names) AS n
    WHERE n.names <> '{}'
    UNION ALL
    SELECT
        'layout',
        format(
            'has %s finished month(s) whose rows are out of order: reading one site takes up to %s times as many pages as after '
            '`pvsite-sql tidy --cluster`, which blocks readers and writers of the month: %s%s',
            cardinality(n.names), round(:'spread'::double precision), array_to_string(n.names[1:5], ', '),
            CASE WHEN cardinality(n.names) > 5 THEN ', ...' ELSE '' END
        )
    FROM (SELECT :'scattered'::text[] AS names) AS n
    WHERE n.names <> '{}'
    UNION ALL
    SELECT
        'incomplete',
        format(
            'was checked for months to tidy in the newest %s of %s finished months before the time limit',
            :'checked'::integer, :'partitions'::integer
        )
    WHERE :'checked'::integer < :'partitions'::integer
) AS f;
