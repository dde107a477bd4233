-- What is said of the sites that do not exist any more, but still have readings or forecasts, and of how far it was looked for them.
--
-- Parameters:
--   home        text     the schema
--   parent      text     generation or forecasts
--   site_uuids  uuid[]   the sites
--   looked      integer  at how many partitions it was looked
--   partitions  integer  of how many
-- Result: row
--   kind      text
--   severity  text  error, warning or information
--   object    text
--   message   text
--   sql       text  what mends it; empty where no statement does
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
            'has rows of %s site(s) that do not exist any more: %s%s; they are kept, unless you want them deleted',
            cardinality(o.site_uuids), array_to_string(o.site_uuids[1:3], ', '),
            CASE WHEN cardinality(o.site_uuids) > 3 THEN ', ...' ELSE '' END
        ) AS message,
        format('DELETE FROM %I.%I WHERE site_uuid = ANY(%L);', o.home, o.parent, o.site_uuids) AS sql
    FROM (
        SELECT
            :'home'::text AS home,
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
            'was looked through for rows of sites that do not exist any more in %s of %s partitions, the newest: then time was up',
            :'looked'::integer, :'partitions'::integer
        ),
        ''
    WHERE :'looked'::integer < :'partitions'::integer
) AS f;
