-- Change the given fields of a site. A field with the value null is set to NULL; an ml_id is then counted anew. Other
-- fields keep their values.
--
-- Parameters:
--   site_uuid  uuid   the site
--   fields     jsonb  columns of sites and their new values, such as {"active": false, "dno": null}
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
-- Index: sites_pkey, site_history_pkey
-- Touches: 1
UPDATE sites AS s
SET
    client_uuid = CASE WHEN f.fields ? 'client_uuid' THEN (f.fields ->> 'client_uuid')::uuid ELSE s.client_uuid END,
    client_site_id = CASE WHEN f.fields ? 'client_site_id' THEN (f.fields ->> 'client_site_id')::integer ELSE s.client_site_id END,
    client_site_name = CASE WHEN f.fields ? 'client_site_name' THEN (f.fields ->> 'client_site_name') ELSE s.client_site_name END,
    country = CASE WHEN f.fields ? 'country' THEN (f.fields ->> 'country') ELSE s.country END,
    region = CASE WHEN f.fields ? 'region' THEN (f.fields ->> 'region') ELSE s.region END,
    dno = CASE WHEN f.fields ? 'dno' THEN (f.fields ->> 'dno') ELSE s.dno END,
    gsp = CASE WHEN f.fields ? 'gsp' THEN (f.fields ->> 'gsp') ELSE s.gsp END,
    asset_type = CASE WHEN f.fields ? 'asset_type' THEN (f.fields ->> 'asset_type') ELSE s.asset_type END,
    active = CASE WHEN f.fields ? 'active' THEN (f.fields ->> 'active')::boolean ELSE s.active END,
    orientation = CASE WHEN f.fields ? 'orientation' THEN (f.fields ->> 'orientation')::double precision ELSE s.orientation END,
    tilt = CASE WHEN f.fields ? 'tilt' THEN (f.fields ->> 'tilt')::double precision ELSE s.tilt END,
    latitude = CASE WHEN f.fields ? 'latitude' THEN (f.fields ->> 'latitude')::double precision ELSE s.latitude END,
    longitude = CASE WHEN f.fields ? 'longitude' THEN (f.fields ->> 'longitude')::double precision ELSE s.longitude END,
    capacity_kw = CASE WHEN f.fields ? 'capacity_kw' THEN (f.fields ->> 'capacity_kw')::double precision ELSE s.capacity_kw END,
    inverter_capacity_kw = CASE
        WHEN f.fields ? 'inverter_capacity_kw' THEN (f.fields ->> 'inverter_capacity_kw')::double precision
        ELSE s.inverter_capacity_kw
    END,
    module_capacity_kw = CASE
        WHEN f.fields ? 'module_capacity_kw' THEN (f.fields ->> 'module_capacity_kw')::double precision
        ELSE s.module_capacity_kw
    END,
    ml_id = CASE WHEN f.fields ? 'ml_id' THEN (f.fields ->> 'ml_id')::integer ELSE s.ml_id END,
    ml_model_uuid = CASE WHEN f.fields ? 'ml_model_uuid' THEN (f.fields ->> 'ml_model_uuid')::uuid ELSE s.ml_model_uuid END,
    metadata = CASE WHEN f.fields ? 'metadata' THEN f.fields -> 'metadata' ELSE s.metadata END
FROM (SELECT :'fields'::jsonb AS fields) AS f
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
