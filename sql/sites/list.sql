-- Return all sites that match the filters, ordered by site_uuid, or by another column and then by site_uuid. Sites
-- without a client_site_name come last in its order.
--
-- Parameters:
--   country                    text    return only sites in this country; empty for all
--   asset_type                 text    return only sites of this type, pv or wind; empty for all
--   active                     text    true for active, false for inactive sites; empty for all
--   client_name                text    return only sites of this client; empty for all
--   client_site_name_contains  text    return only sites whose client_site_name contains this, case-sensitive;
--                                      empty for all
--   site_group_name            text    return only sites in this site group; empty for all
--   order_by                   text    site_uuid, created_utc or client_site_name
--   limit                      text    return at most this many rows; empty for all
--   offset                     bigint  skip this many rows
-- Result: Site
--   site_uuid             uuid
--   client_uuid           uuid
--   client_site_id        integer
--   client_site_name      text
--   country               text
--   region                text
--   dno                   text
--   gsp                   text
--   asset_type            text
--   active                boolean
--   orientation           double precision
--   tilt                  double precision
--   latitude              double precision
--   longitude             double precision
--   capacity_kw           double precision
--   inverter_capacity_kw  double precision
--   module_capacity_kw    double precision
--   ml_id                 integer
--   created_utc           timestamptz
--   ml_model_uuid         uuid
--   metadata              jsonb
-- Index: clients_client_name_key, sites_client_uuid_idx, site_groups_site_group_name_key, site_group_sites_pkey
-- Touches: sites + 2 + places
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
    s.created_utc,
    s.ml_model_uuid,
    s.metadata
FROM sites AS s
WHERE
    s.country = COALESCE(NULLIF(:'country', ''), s.country)
    AND s.asset_type = COALESCE(NULLIF(:'asset_type', ''), s.asset_type)
    AND s.active = COALESCE(NULLIF(:'active', '')::boolean, s.active)
    AND (
        NULLIF(:'client_name', '') IS NULL
        OR s.client_uuid = (
            SELECT c.client_uuid FROM clients AS c
            WHERE c.client_name = NULLIF(:'client_name', '')
        )
    )
    AND strpos(COALESCE(s.client_site_name, ''), :'client_site_name_contains'::text) > 0
    AND (
        NULLIF(:'site_group_name', '') IS NULL
        OR s.site_uuid IN (
            SELECT gs.site_uuid
            FROM site_groups AS g
            JOIN site_group_sites AS gs ON gs.site_group_uuid = g.site_group_uuid
            WHERE g.site_group_name = NULLIF(:'site_group_name', '')
        )
    )
ORDER BY
    CASE WHEN :'order_by'::text = 'created_utc' THEN s.created_utc END,
    CASE WHEN :'order_by'::text = 'client_site_name' THEN s.client_site_name END,
    s.site_uuid
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
