-- Insert the sites that are not stored yet. Those without an ml_id come last: a trigger counts one that no site has.
--
-- Parameters: none
-- Result: none
-- Index: sites_pkey, site_history_pkey
-- Touches: adopt_rows + sites
-- After: adopt/documents_rows
INSERT INTO sites (
    site_uuid,
    client_uuid,
    client_site_id,
    client_site_name,
    country,
    region,
    dno,
    gsp,
    asset_type,
    active,
    orientation,
    tilt,
    latitude,
    longitude,
    capacity_kw,
    inverter_capacity_kw,
    module_capacity_kw,
    ml_id,
    created_utc,
    ml_model_uuid,
    metadata
)
SELECT
    s.site_uuid,
    s.client_uuid,
    s.client_site_id,
    s.client_site_name,
    s.country,
    s.region,
    s.dno,
    s.gsp,
    s.asset_type,
    s.active,
    s.orientation,
    s.tilt,
    s.latitude,
    s.longitude,
    s.capacity_kw,
    s.inverter_capacity_kw,
    s.module_capacity_kw,
    s.ml_id,
    COALESCE(s.created_utc, now()) AS created_utc,
    s.ml_model_uuid,
    s.metadata
FROM pg_temp.adopt_rows AS r
CROSS JOIN
    jsonb_to_record(r.target)
        AS s (
            site_uuid uuid,
            client_uuid uuid,
            client_site_id integer,
            client_site_name text,
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
            created_utc timestamptz,
            ml_model_uuid uuid,
            metadata jsonb
        )
WHERE
    r.reason IS NULL
    AND NOT EXISTS (
        SELECT FROM sites AS o
        WHERE o.site_uuid = r.stored_uuid
    )  -- otherwise the trigger would waste an ml_id
ORDER BY s.ml_id NULLS LAST
ON CONFLICT DO NOTHING;
