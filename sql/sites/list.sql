-- All sites, by site_uuid, or those of a country, a kind, a client, and whether they are active.
--
-- Parameters:
--   country      text  only sites of this country; empty: any
--   asset_type   text  pv or wind; empty: either
--   active       text  true or false; empty: either
--   client_name  text  only sites of this client; empty: any
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
-- Index: none (reads every site)
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
    s.created_utc
FROM sites AS s
LEFT JOIN clients AS c ON c.client_uuid = s.client_uuid
WHERE
    s.country = COALESCE(NULLIF(:'country', ''), s.country)
    AND s.asset_type = COALESCE(NULLIF(:'asset_type', ''), s.asset_type)
    AND s.active = COALESCE(NULLIF(:'active', '')::boolean, s.active)
    AND c.client_name IS NOT DISTINCT FROM COALESCE(NULLIF(:'client_name', ''), c.client_name)
ORDER BY s.site_uuid;
