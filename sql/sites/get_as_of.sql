-- Return a site as it was after its last change at or before a time. Returns no row if the site did not exist at that
-- time.
--
-- Each row of the history has the columns that sites had when the row was written. Columns that were added later are
-- NULL, or have their default if they are NOT NULL.
--
-- Parameters:
--   site_uuid  uuid         the site
--   at_utc     timestamptz  the time
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
-- Touches: 1
SELECT
    s.site_uuid,
    s.client_uuid,
    s.client_site_id,
    s.client_site_name,
    COALESCE(s.country, 'uk') AS country,
    s.region,
    s.dno,
    s.gsp,
    COALESCE(s.asset_type, 'pv') AS asset_type,
    COALESCE(s.active, TRUE) AS active,
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
    COALESCE(s.metadata, '{}') AS metadata
FROM (
    SELECT h.new_row
    FROM site_history AS h
    WHERE h.site_uuid = :'site_uuid'::uuid AND h.changed_utc <= :'at_utc'::timestamptz
    ORDER BY h.changed_utc DESC, h.change_id DESC
    LIMIT 1
) AS l
CROSS JOIN LATERAL jsonb_populate_record(NULL::sites, l.new_row) AS s
WHERE l.new_row IS NOT NULL;
