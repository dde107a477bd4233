-- Run on the source: list the tables and columns, and how each column is handled. `copied`: it is copied. `derived`:
-- it follows from other columns (ids of rows with a natural key, times of single values, horizons). `unsupported`: it
-- has no counterpart, and sites_prepare adds a note. `unknown`: pvsite-datamodel does not have it.
--
-- Parameters: none
-- Result: row
--   table_name   text
--   column_name  text
--   handling     text
-- Index: none (the catalog)
-- Touches: none
SELECT
    c.relname::text AS table_name,
    a.attname::text AS column_name,
    COALESCE(k.handling, 'unknown') AS handling
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN (  -- noqa: ST05
    SELECT
        t.table_name,
        unnest(t.columns) AS column_name,
        t.handling
    FROM (
        VALUES
        ('clients', 'copied', '{client_uuid,client_name,created_utc}'::text[]),
        ('ml_model', 'copied', '{model_uuid,name,version,description,created_utc}'),
        ('site_groups', 'copied', '{site_group_uuid,site_group_name,service_level,created_utc}'),
        ('location_groups', 'copied', '{location_group_uuid,location_group_name,service_level,created_utc}'),
        ('users', 'copied', '{user_uuid,email,site_group_uuid,location_group_uuid,created_utc}'),
        (
            'sites',
            'copied',
            '{
                site_uuid,client_uuid,client_site_id,client_site_name,country,region,dno,gsp,asset_type,active,orientation,tilt,
                latitude,longitude,capacity_kw,inverter_capacity_kw,module_capacity_kw,ml_id,ml_model_uuid,created_utc
            }'
        ),
        (
            'locations',
            'copied',
            '{
                location_uuid,client_uuid,client_location_id,client_location_name,country,region,dno,gsp,asset_type,active,orientation,
                tilt,latitude,longitude,capacity_kw,inverter_capacity_kw,module_capacity_kw,ml_id,ml_model_uuid,location_metadata,
                created_utc
            }'
        ),
        ('locations', 'unsupported', '{location_type}'),
        ('site_group_sites', 'copied', '{site_group_uuid,site_uuid,created_utc}'),
        ('site_group_sites', 'derived', '{site_group_site_uuid}'),
        ('location_group_locations', 'copied', '{location_group_uuid,location_uuid,created_utc}'),
        ('location_group_locations', 'derived', '{location_group_location_uuid}'),
        ('inverters', 'copied', '{inverter_uuid,site_uuid,location_uuid,created_utc}'),
        ('status', 'copied', '{status_uuid,status,message,created_utc}'),
        ('api_request', 'copied', '{uuid,url,user_uuid,created_utc}'),
        ('generation', 'copied', '{site_uuid,location_uuid,start_utc,end_utc,generation_power_kw,created_utc}'),
        ('generation', 'derived', '{generation_uuid}'),
        ('forecasts', 'copied', '{forecast_uuid,site_uuid,location_uuid,timestamp_utc,forecast_version,created_utc}'),
        (
            'forecast_values',
            'copied',
            '{forecast_uuid,start_utc,end_utc,forecast_power_kw,ml_model_uuid,probabilistic_values}'
        ),
        ('forecast_values', 'derived', '{forecast_value_uuid,horizon_minutes,created_utc}'),
        (
            'location_locations',
            'unsupported',
            '{location_location_uuid,location_parent_uuid,location_child_uuid,created_utc}'
        ),
        ('sites_history', 'copied', '{site_uuid,site_data,changed_by,operation_type,created_utc}'),
        ('sites_history', 'derived', '{site_history_uuid}'),
        ('locations_history', 'copied', '{location_uuid,location_data,changed_by,operation_type,created_utc}'),
        ('locations_history', 'derived', '{location_history_uuid}'),
        ('alembic_version', 'derived', '{version_num}')
    ) AS t (table_name, handling, columns)
) AS k ON k.table_name = c.relname AND k.column_name = a.attname
WHERE
    c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND pg_table_is_visible(c.oid)
    AND n.nspname <> 'pg_catalog'
    AND n.nspname <> 'information_schema'
ORDER BY c.relname, a.attnum;
