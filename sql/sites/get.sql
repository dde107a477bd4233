-- Return the site with this UUID.
--
-- Parameters:
--   site_uuid  uuid  the site
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
-- Index: sites_pkey
-- Touches: 1
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
WHERE s.site_uuid = :'site_uuid'::uuid;
