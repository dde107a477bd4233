-- Create a site. Fields that are not given are NULL, except for these defaults: country is uk, asset_type is pv, active
-- is true, metadata is {}, and triggers set inverter_capacity_kw to capacity_kw and ml_id to a number that no site has.
--
-- Parameters:
--   fields  jsonb  columns of sites and their values, such as {"latitude": 51.5, "capacity_kw": 4}
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
-- Index: site_history_pkey
-- Touches: none
INSERT INTO sites (
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
    ml_model_uuid,
    metadata
)
SELECT
    (f.fields ->> 'client_uuid')::uuid,
    (f.fields ->> 'client_site_id')::integer,
    f.fields ->> 'client_site_name',
    COALESCE(f.fields ->> 'country', 'uk'),
    f.fields ->> 'region',
    f.fields ->> 'dno',
    f.fields ->> 'gsp',
    COALESCE(f.fields ->> 'asset_type', 'pv'),
    COALESCE((f.fields ->> 'active')::boolean, TRUE),
    (f.fields ->> 'orientation')::double precision,
    (f.fields ->> 'tilt')::double precision,
    (f.fields ->> 'latitude')::double precision,
    (f.fields ->> 'longitude')::double precision,
    (f.fields ->> 'capacity_kw')::double precision,
    (f.fields ->> 'inverter_capacity_kw')::double precision,
    (f.fields ->> 'module_capacity_kw')::double precision,
    (f.fields ->> 'ml_id')::integer,
    (f.fields ->> 'ml_model_uuid')::uuid,
    COALESCE(f.fields -> 'metadata', '{}')
FROM (SELECT :'fields'::jsonb AS fields) AS f
RETURNING
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
    metadata;
