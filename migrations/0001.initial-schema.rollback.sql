-- Takes everything away, the readings and forecasts included.
DROP FUNCTION IF EXISTS latest_forecast_values(
    uuid[], timestamptz, timestamptz, timestamptz, integer, text, integer, text
);
DROP VIEW IF EXISTS forecast_values;
DROP FUNCTION IF EXISTS ensure_month_partitions(text, date[]);
DROP FUNCTION IF EXISTS missing_month_partitions(text, date[]);
DROP TABLE IF EXISTS forecasts;
DROP FUNCTION IF EXISTS forecast_gaps(timestamptz, integer, real[]);
DROP TABLE IF EXISTS generation;
DROP FUNCTION IF EXISTS key_is_fixed();
DROP FUNCTION IF EXISTS ml_models_exist();
DROP FUNCTION IF EXISTS sites_exist();
DROP TABLE IF EXISTS ml_models;
DROP TABLE IF EXISTS api_request;
DROP TABLE IF EXISTS status;
DROP TABLE IF EXISTS inverters;
DROP TABLE IF EXISTS site_group_sites;
DROP TABLE IF EXISTS sites;
DROP FUNCTION IF EXISTS sites_inverter_capacity();
DROP TABLE IF EXISTS users;
DROP TABLE IF EXISTS site_groups;
DROP TABLE IF EXISTS clients;
