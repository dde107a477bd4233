-- Set the model that a site uses. Returns no row if the site or the model does not exist. Of several versions with the
-- same created_utc, the last one in the order of text counts as the newest, as in ml_models/newest.
--
-- Parameters:
--   site_uuid      uuid     the site
--   model_name     text     the name of the model
--   model_version  text     the version; empty for the model without a version
--   newest         boolean  whether to take the version that was created last, whatever `model_version` is
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
-- Index: sites_pkey, ml_models_name_version_key, site_history_pkey
-- Touches: versions + 1
UPDATE sites AS s
SET ml_model_uuid = m.ml_model_uuid
FROM (
    SELECT v.ml_model_uuid
    FROM ml_models AS v
    WHERE
        v.name = :'model_name'::text
        AND (:'newest'::boolean OR v.version = :'model_version'::text)
    ORDER BY v.created_utc DESC, v.version DESC
    LIMIT 1
) AS m
WHERE s.site_uuid = :'site_uuid'::uuid
RETURNING
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
    s.metadata;
