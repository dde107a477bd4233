-- Report the nonexistent sites that still have readings or forecasts, and how many partitions were checked for them.
--
-- Parameters:
--   schema      text     the schema
--   parent      text     generation or forecasts
--   site_uuids  uuid[]   the nonexistent sites; may contain duplicates
--   checked     integer  how many partitions were checked
--   partitions  integer  how many partitions there are
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
    'table ' || f.parent AS object,
    f.message,
    f.sql
FROM (
    SELECT
        'orphans' AS kind,
        o.parent,
        format(
            'has rows of %s nonexistent site(s): %s%s; run this statement if you want to delete them',
            cardinality(o.site_uuids), array_to_string(o.site_uuids[1:3], ', '),
            CASE WHEN cardinality(o.site_uuids) > 3 THEN ', ...' ELSE '' END
        ) AS message,
        format('DELETE FROM %I.%I WHERE site_uuid = ANY(%L);', o.home, o.parent, o.site_uuids) AS sql
    FROM (
        SELECT
            :'schema'::text AS home,
            :'parent'::text AS parent,
            ARRAY(
                SELECT DISTINCT u.site_uuid FROM unnest(:'site_uuids'::uuid[]) AS u (site_uuid)
                ORDER BY u.site_uuid
            ) AS site_uuids
    ) AS o
    WHERE o.site_uuids <> '{}'
    UNION ALL
    SELECT
        'incomplete',
        :'parent'::text,
        format(
            'was checked for rows of nonexistent sites in the newest %s of %s partitions before the time limit',
            :'checked'::integer, :'partitions'::integer
        ),
        ''
    WHERE :'checked'::integer < :'partitions'::integer
) AS f;
