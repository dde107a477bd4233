-- Run on the source: its tables and their columns, and whether there is a place for each: `kept`, `derived` (ids of rows that have
-- a natural key, times of single values, horizons: what is here follows from the rest), `no_place` (sites_prepare notes it), or
-- `unknown`.
--
-- Parameters: none
-- Result: row
--   table_name   text
--   column_name  text
--   place        text
-- Index: none (the catalog)
-- Touches: none
SELECT
    c.relname::text AS table_name,
    a.attname::text AS column_name,
    COALESCE(k.place, 'unknown') AS place
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN (  -- noqa: ST05
    SELECT
        t.table_name,
        unnest(t.columns) AS column_name,
        t.place
    FROM (
        VALUES
        ('clients', 'kept', '{client_uuid,client_name,created_utc}'::text[]),
        ('ml_model', 'kept', '{model_uuid,name,version,description,created_utc}'),
        ('site_groups', 'kept', '{site_group_uuid,site_group_name,service_level,created_utc}'),
        ('location_groups', 'kept', '{location_group_uuid,location_group_name,service_level,created_utc}'),
        ('users', 'kept', '{user_uuid,email,site_group_uuid,location_group_uuid,created_utc}'),
        (
            'sites',
            'kept',
            '{
                site_uuid,client_uuid,client_site_id,client_site_name,country,region,dno,gsp,asset_type,active,orientation,tilt,
                latitude,longitude,capacity_kw,inverter_capacity_kw,module_capacity_kw,ml_id,created_utc
            }'
        ),
        ('sites', 'no_place', '{ml_model_uuid}'),
        (
            'locations',
            'kept',
            '{
                location_uuid,client_uuid,client_location_id,client_location_name,country,region,dno,gsp,asset_type,active,orientation,
                tilt,latitude,longitude,capacity_kw,inverter_capacity_kw,module_capacity_kw,ml_id,created_utc
            }'
        ),
        ('locations', 'no_place', '{ml_model_uuid,location_type,location_metadata}'),
        ('site_group_sites', 'kept', '{site_group_uuid,site_uuid,created_utc}'),
        ('site_group_sites', 'derived', '{site_group_site_uuid}'),
        ('location_group_locations', 'kept', '{location_group_uuid,location_uuid,created_utc}'),
        ('location_group_locations', 'derived', '{location_group_location_uuid}'),
        ('inverters', 'kept', '{inverter_uuid,site_uuid,location_uuid,created_utc}'),
        ('status', 'kept', '{status_uuid,status,message,created_utc}'),
        ('api_request', 'kept', '{uuid,url,user_uuid,created_utc}'),
        ('generation', 'kept', '{site_uuid,location_uuid,start_utc,end_utc,generation_power_kw,created_utc}'),
        ('generation', 'derived', '{generation_uuid}'),
        ('forecasts', 'kept', '{forecast_uuid,site_uuid,location_uuid,timestamp_utc,forecast_version,created_utc}'),
        (
            'forecast_values',
            'kept',
            '{forecast_uuid,start_utc,end_utc,forecast_power_kw,ml_model_uuid,probabilistic_values}'
        ),
        ('forecast_values', 'derived', '{forecast_value_uuid,horizon_minutes,created_utc}'),
        (
            'location_locations',
            'no_place',
            '{location_location_uuid,location_parent_uuid,location_child_uuid,created_utc}'
        ),
        ('sites_history', 'kept', '{site_uuid,site_data,changed_by,operation_type,created_utc}'),
        ('sites_history', 'derived', '{site_history_uuid}'),
        ('locations_history', 'kept', '{location_uuid,location_data,changed_by,operation_type,created_utc}'),
        ('locations_history', 'derived', '{location_history_uuid}'),
        ('alembic_version', 'derived', '{version_num}')
    ) AS t (table_name, place, columns)
) AS k ON k.table_name = c.relname AND k.column_name = a.attname
WHERE
    c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND pg_table_is_visible(c.oid)
    AND n.nspname <> 'pg_catalog'
    AND n.nspname <> 'information_schema'
ORDER BY c.relname, a.attnum;
