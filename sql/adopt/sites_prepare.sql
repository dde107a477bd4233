-- Prepare sites. An invalid property becomes NULL, with a note, so that the site and its readings can be copied; so
-- does a property without a column. If another site has the same ml_id, sites_insert assigns a new one.
--
-- Parameters: none
-- Result: none
-- Index: sites_ml_id_key
-- Touches: adopt_documents + adopt_ids + 2 * sites
-- After: adopt/documents_staging, adopt/documents_rows, adopt/documents_ids
INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target, reason, note)  -- noqa: disable=ST05
SELECT
    d.document,
    n.site_uuid,
    n.site_uuid AS stored_uuid,
    jsonb_build_object(
        'site_uuid', n.site_uuid,
        'client_uuid', c.stored_uuid,
        'client_site_id', COALESCE(s.client_site_id, s.client_location_id),
        'client_site_name', COALESCE(s.client_site_name, s.client_location_name),
        'country', COALESCE(s.country, 'uk'),
        'region', s.region,
        'dno', s.dno,
        'gsp', s.gsp,
        'asset_type', COALESCE(s.asset_type, 'pv'),
        'active', COALESCE(s.active, TRUE),
        'orientation', p.orientation,
        'tilt', p.tilt,
        'latitude', p.latitude,
        'longitude', p.longitude,
        'capacity_kw', p.capacity_kw,
        'inverter_capacity_kw', COALESCE(p.inverter_capacity_kw, p.capacity_kw),
        'module_capacity_kw', p.module_capacity_kw,
        'ml_model_uuid', m.stored_uuid,
        'metadata', p.metadata
    )
    || jsonb_strip_nulls(jsonb_build_object(
        'ml_id', CASE WHEN NOT taken.ml_id THEN s.ml_id END,
        'created_utc', s.created_utc AT TIME ZONE 'UTC'
    )),
    CASE WHEN s.asset_type <> 'pv' AND s.asset_type <> 'wind' THEN 'its asset type is neither pv nor wind' END,
    NULLIF(concat_ws(
        '; ',
        CASE WHEN s.orientation IS DISTINCT FROM p.orientation THEN 'orientation out of range: stored as NULL' END,
        CASE WHEN s.tilt IS DISTINCT FROM p.tilt THEN 'tilt out of range: stored as NULL' END,
        CASE WHEN s.latitude IS DISTINCT FROM p.latitude THEN 'latitude out of range: stored as NULL' END,
        CASE WHEN s.longitude IS DISTINCT FROM p.longitude THEN 'longitude out of range: stored as NULL' END,
        CASE WHEN s.capacity_kw IS DISTINCT FROM p.capacity_kw THEN 'capacity_kw out of range: stored as NULL' END,
        CASE
            WHEN s.inverter_capacity_kw IS DISTINCT FROM p.inverter_capacity_kw
                THEN 'inverter_capacity_kw out of range: stored as NULL'
        END,
        CASE
            WHEN s.module_capacity_kw IS DISTINCT FROM p.module_capacity_kw THEN 'module_capacity_kw out of range: stored as NULL'
        END,
        CASE WHEN d.document -> 'country' = 'null' THEN 'country is NULL: stored as uk' END,
        CASE WHEN d.document -> 'active' = 'null' THEN 'active is NULL: stored as true' END,
        CASE WHEN s.ml_id IS NULL THEN 'ml_id is NULL: a new one is used' END,
        CASE WHEN taken.ml_id THEN 'another site has its ml_id: a new one is used' END,
        CASE WHEN s.location_type <> 'site' THEN 'location_type ' || s.location_type || ': stored as a site' END,
        CASE
            WHEN jsonb_typeof(s.location_metadata) <> ALL('{object,"null"}'::text[])
                THEN 'location_metadata is not an object: stored without it'
        END,
        CASE WHEN s.ml_model_uuid IS NOT NULL AND m.stored_uuid IS NULL THEN 'its model was not copied: stored without it' END
    ), '')
FROM (
    SELECT
        a.document,
        -- of several sites with the same ml_id, the oldest keeps it
        row_number() OVER (
            PARTITION BY a.document -> 'ml_id'
            ORDER BY (a.document ->> 'created_utc')::timestamp, COALESCE(a.document ->> 'site_uuid', a.document ->> 'location_uuid')
        ) AS number
    FROM pg_temp.adopt_documents AS a
) AS d
CROSS JOIN
    jsonb_to_record(d.document)
        AS s (
            site_uuid uuid,
            location_uuid uuid,
            client_uuid uuid,
            client_site_id integer,
            client_location_id integer,
            client_site_name text,
            client_location_name text,
            country text,
            region text,
            dno text,
            gsp text,
            asset_type text,
            active boolean,
            orientation double precision,
            tilt double precision,
            latitude double precision,
            longitude double precision,
            capacity_kw double precision,
            inverter_capacity_kw double precision,
            module_capacity_kw double precision,
            ml_id integer,
            ml_model_uuid uuid,
            location_type text,
            location_metadata jsonb,
            created_utc timestamp
        )
CROSS JOIN LATERAL (SELECT COALESCE(s.site_uuid, s.location_uuid) AS site_uuid) AS n
CROSS JOIN
    LATERAL (
        SELECT
            CASE WHEN s.orientation >= 0 AND s.orientation <= 360 THEN s.orientation END AS orientation,
            CASE WHEN s.tilt >= 0 AND s.tilt <= 180 THEN s.tilt END AS tilt,
            CASE WHEN s.latitude >= -90 AND s.latitude <= 90 THEN s.latitude END AS latitude,
            CASE WHEN s.longitude >= -180 AND s.longitude <= 180 THEN s.longitude END AS longitude,
            CASE WHEN s.capacity_kw >= 0 AND s.capacity_kw < 'Infinity' THEN s.capacity_kw END AS capacity_kw,
            CASE
                WHEN s.inverter_capacity_kw >= 0 AND s.inverter_capacity_kw < 'Infinity' THEN s.inverter_capacity_kw
            END AS inverter_capacity_kw,
            CASE
                WHEN s.module_capacity_kw >= 0 AND s.module_capacity_kw < 'Infinity' THEN s.module_capacity_kw
            END AS module_capacity_kw,
            CASE WHEN jsonb_typeof(s.location_metadata) = 'object' THEN s.location_metadata ELSE '{}' END AS metadata
    ) AS p
CROSS JOIN
    LATERAL (
        SELECT
            s.ml_id IS NOT NULL AND (
                d.number > 1
                OR EXISTS (
                    SELECT FROM sites AS o
                    WHERE o.ml_id = s.ml_id AND o.site_uuid <> n.site_uuid
                )
            ) AS ml_id
    ) AS taken
LEFT JOIN pg_temp.adopt_ids AS c ON c.kind = 'clients' AND c.source_uuid = s.client_uuid
LEFT JOIN pg_temp.adopt_ids AS m ON m.kind = 'ml_models' AND m.source_uuid = s.ml_model_uuid;
