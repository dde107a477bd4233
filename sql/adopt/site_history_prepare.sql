-- Prepare the history of the sites, as the triggers of pvsite-datamodel wrote it: the row after a change or, for a
-- delete, before it.
--
-- The row before an update is the row after the previous change. If that is unknown, the update becomes a baseline.
-- Rows keep properties without a column. A change that is not older than the history in this database is rejected,
-- because it would contradict it. A row that sites/get_as_of could not return as a site is rejected. If created_utc
-- of the site is unknown, the time of the change is used.
--
-- Parameters: none
-- Result: none
-- Index: site_history_pkey, users_pkey
-- Touches: 2 * adopt_documents + adopt_ids + site_history
-- After: adopt/documents_staging, adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_rows (document, target, reason, note)  -- noqa: disable=ST05
SELECT
    c.document,
    jsonb_build_object(
        'site_uuid', c.site_uuid,
        'changed_utc', c.changed_utc,
        'operation', k.operation,
        'old_row', CASE k.operation WHEN 'update' THEN c.row_before WHEN 'delete' THEN c.row END,
        'new_row', CASE WHEN k.operation <> 'delete' THEN c.row END,
        'actor', c.actor
    ),
    CASE
        WHEN c.changed_utc IS NULL THEN 'it has no time'
        WHEN k.operation IS NULL THEN 'its operation is not insert, update or delete'
        WHEN c.row IS NULL THEN 'its data is not a row of its site'
        WHEN c.changed_utc > now() THEN 'its time is in the future'
        WHEN c.changed_utc >= here.since_utc THEN 'it is not older than the history of the site in this database'
    END,
    NULLIF(concat_ws(
        '; ',
        CASE WHEN k.operation = 'baseline' THEN 'the row before the update is unknown: stored as a baseline' END,
        CASE WHEN c.is_undated THEN 'created_utc of the site is unknown: the time of the change is used' END
    ), '')
FROM (
    SELECT
        d.document,
        d.site_uuid,
        d.changed_utc,
        d.operation,
        d.row,
        d.is_undated,
        d.actor,
        lag(CASE WHEN d.operation <> 'delete' THEN d.row END)
            OVER (PARTITION BY d.site_uuid ORDER BY d.changed_utc, d.number)
            AS row_before
    FROM (
        SELECT
            a.document,
            n.site_uuid,
            s.created_utc AT TIME ZONE 'UTC' AS changed_utc,
            s.number,
            lower(s.operation_type) AS operation,
            COALESCE(u.email, s.changed_by::text) AS actor,
            n.data ->> 'created_utc' IS NULL AS is_undated,
            CASE
                WHEN
                    m.row ->> 'ml_id' IS NOT NULL AND NOT EXISTS (
                        SELECT FROM jsonb_each(m.row) AS e (key, value)
                        WHERE
                            e.value <> 'null' AND CASE
                                -- in jsonb order, only numbers lie between two numbers
                                WHEN e.key IN ('client_site_id', 'ml_id')
                                    THEN e.value < '-2147483648' OR e.value > '2147483647' OR e.value::text LIKE '%.%'
                                WHEN
                                    e.key IN (
                                        'orientation', 'tilt', 'latitude', 'longitude',
                                        'capacity_kw', 'inverter_capacity_kw', 'module_capacity_kw'
                                    )
                                    THEN (e.value < '-1e308' OR e.value > '1e308') AND e.value #>> '{}' !~ '^(NaN|-?Infinity)$'
                                WHEN e.key = 'active' THEN jsonb_typeof(e.value) <> 'boolean'
                                WHEN e.key IN ('client_uuid', 'ml_model_uuid')
                                    THEN e.value #>> '{}' !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                                WHEN e.key = 'created_utc' THEN e.value #>> '{}' !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
                            END
                    )
                    THEN m.row
            END AS row
        FROM pg_temp.adopt_documents AS a
        CROSS JOIN
            jsonb_to_record(a.document)
                AS s (
                    site_uuid uuid,
                    location_uuid uuid,
                    site_data jsonb,
                    location_data jsonb,
                    changed_by uuid,
                    operation_type text,
                    created_utc timestamp,
                    number bigint
                )
        CROSS JOIN
            LATERAL (
                SELECT
                    COALESCE(s.site_uuid, s.location_uuid) AS site_uuid,
                    COALESCE(s.site_data, s.location_data) AS data,
                    COALESCE(COALESCE(s.site_data, s.location_data) ->> 'created_utc', to_jsonb(s.created_utc) #>> '{}') AS made
            ) AS n
        LEFT JOIN pg_temp.adopt_ids AS i ON i.kind = 'clients' AND i.source_uuid::text = n.data ->> 'client_uuid'
        LEFT JOIN pg_temp.adopt_ids AS o ON o.kind = 'ml_models' AND o.source_uuid::text = n.data ->> 'ml_model_uuid'
        CROSS JOIN
            LATERAL (
                SELECT
                    CASE
                        WHEN COALESCE(n.data ->> 'site_uuid', n.data ->> 'location_uuid') = n.site_uuid::text
                            THEN
                                n.data - '{location_uuid, client_location_id, client_location_name, location_metadata}'::text[]
                                || jsonb_strip_nulls(jsonb_build_object(
                                    'site_uuid', n.site_uuid,
                                    'client_uuid', i.stored_uuid,
                                    'ml_model_uuid', o.stored_uuid,
                                    'client_site_id', n.data -> 'client_location_id',
                                    'client_site_name', n.data -> 'client_location_name',
                                    'created_utc', CASE WHEN n.made ~ '[-+Z][0-9:]*$' THEN n.made ELSE n.made || '+00:00' END
                                ))
                                || CASE
                                    WHEN jsonb_typeof(n.data -> 'location_metadata') = 'object'
                                        THEN jsonb_build_object('metadata', n.data -> 'location_metadata')
                                    ELSE '{}'
                                END
                    END AS row
            ) AS m
        LEFT JOIN pg_temp.adopt_ids AS w ON w.kind = 'users' AND w.source_uuid = s.changed_by
        LEFT JOIN users AS u ON u.user_uuid = w.stored_uuid
    ) AS d
) AS c
CROSS JOIN
    LATERAL (
        SELECT
            CASE
                WHEN c.operation = 'update' AND c.row_before IS NULL THEN 'baseline'
                WHEN c.operation IN ('insert', 'update', 'delete') THEN c.operation
            END AS operation
    ) AS k
CROSS JOIN
    LATERAL (
        SELECT min(h.changed_utc) AS since_utc FROM site_history AS h
        WHERE h.site_uuid = c.site_uuid AND h.database_user <> '(pvsite-datamodel)'
    ) AS here;
