-- Return the sites inside a rectangle on the map that a user can see, ordered by site_uuid. Sites without coordinates
-- are left out.
--
-- Parameters:
--   email          text              the user's email, case-sensitive
--   latitude_min   double precision  degrees, inclusive
--   latitude_max   double precision  degrees, inclusive
--   longitude_min  double precision  degrees, inclusive
--   longitude_max  double precision  degrees, inclusive
--   limit          text              return at most this many rows; empty for all
--   offset         bigint            skip this many rows
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
-- Index: users_email_key, site_group_sites_pkey, sites_pkey
-- Touches: 1 + 2 * places
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
FROM users AS u
JOIN site_group_sites AS gs ON gs.site_group_uuid = u.site_group_uuid
JOIN sites AS s ON s.site_uuid = gs.site_uuid
WHERE
    u.email = :'email'::text
    AND s.latitude >= :'latitude_min'::double precision
    AND s.latitude <= :'latitude_max'::double precision
    AND s.longitude >= :'longitude_min'::double precision
    AND s.longitude <= :'longitude_max'::double precision
ORDER BY s.site_uuid
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
