-- Get or create a site, step 1, and again after step 2: return the site with this client_site_name. Returns the oldest one
-- if there are several. It only reads, so that it also works on a hot standby and for roles that may not write.
--
-- Parameters:
--   client_site_name  text  the client's name for the site
--   client_name       text  return only a site of this client; empty for all
--   country           text  return only a site in this country; empty for all
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
-- Index: sites_client_site_name_idx, clients_client_name_key
-- Touches: namesakes + 1
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
    s.client_site_name = :'client_site_name'::text
    AND s.country = COALESCE(NULLIF(:'country', ''), s.country)
    AND (
        NULLIF(:'client_name', '') IS NULL
        OR s.client_uuid = (
            SELECT c.client_uuid FROM clients AS c
            WHERE c.client_name = NULLIF(:'client_name', '')
        )
    )
ORDER BY s.created_utc, s.site_uuid
LIMIT 1;
