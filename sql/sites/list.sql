-- Return all sites that match the filters, ordered by site_uuid.
--
-- Parameters:
--   country      text  return only sites in this country; empty for all
--   asset_type   text  return only sites of this type, pv or wind; empty for all
--   active       text  true for active, false for inactive sites; empty for all
--   client_name  text  return only sites of this client; empty for all
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
-- Index: clients_client_name_key, sites_client_uuid_idx (for a client; otherwise reads all sites)
-- Touches: sites + 1
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
ORDER BY s.site_uuid;
