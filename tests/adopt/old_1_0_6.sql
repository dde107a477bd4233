-- The tables that pvsite-datamodel 1.0.6 makes (Base.metadata.create_all).
CREATE TABLE site_groups (created_utc timestamp, site_group_uuid uuid PRIMARY KEY, site_group_name varchar(255));
CREATE UNIQUE INDEX ix_site_groups_site_group_name ON site_groups (site_group_name);
CREATE TABLE users (
    created_utc timestamp,
    user_uuid uuid PRIMARY KEY,
    email varchar(255),
    site_group_uuid uuid NOT NULL REFERENCES site_groups
);
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE TABLE sites (
    created_utc timestamp,
    site_uuid uuid PRIMARY KEY,
    client_site_id integer,
    client_site_name varchar(255),
    region varchar(255),
    dno varchar(255),
    gsp varchar(255),
    orientation double precision,
    tilt double precision,
    latitude double precision,
    longitude double precision,
    capacity_kw double precision,
    inverter_capacity_kw double precision,
    module_capacity_kw double precision,
    ml_id integer NOT NULL CONSTRAINT sites_ml_id_key UNIQUE
);
CREATE TABLE site_group_sites (
    created_utc timestamp,
    site_group_site_uuid uuid PRIMARY KEY,
    site_group_uuid uuid NOT NULL REFERENCES site_groups,
    site_uuid uuid NOT NULL REFERENCES sites,
    CONSTRAINT idx_site_group_site UNIQUE (site_group_uuid, site_uuid)
);
CREATE TABLE inverters (created_utc timestamp, inverter_uuid uuid PRIMARY KEY, site_uuid uuid NOT NULL REFERENCES sites);
CREATE TABLE status (created_utc timestamp, status_uuid uuid PRIMARY KEY, status varchar(255), message varchar(255));
CREATE TABLE api_request (
    created_utc timestamp,
    uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    url varchar,
    user_uuid uuid REFERENCES users
);
CREATE TABLE generation (
    created_utc timestamp,
    generation_uuid uuid PRIMARY KEY,
    site_uuid uuid NOT NULL CONSTRAINT generation_site_uuid_fkey REFERENCES sites,
    generation_power_kw double precision NOT NULL,
    start_utc timestamp NOT NULL,
    end_utc timestamp NOT NULL,
    CONSTRAINT uniq_cons_site_start_end UNIQUE (site_uuid, start_utc, end_utc)
);
CREATE INDEX ix_generation_start_utc ON generation (start_utc);
CREATE TABLE forecasts (
    created_utc timestamp,
    forecast_uuid uuid PRIMARY KEY,
    site_uuid uuid NOT NULL CONSTRAINT forecasts_site_uuid_fkey REFERENCES sites,
    timestamp_utc timestamp NOT NULL,
    forecast_version varchar(32) NOT NULL
);
CREATE INDEX ix_forecasts_site_uuid_timestamp_utc ON forecasts (site_uuid, timestamp_utc);
CREATE TABLE forecast_values (
    created_utc timestamp,
    forecast_value_uuid uuid PRIMARY KEY,
    start_utc timestamp NOT NULL,
    end_utc timestamp NOT NULL,
    forecast_power_kw double precision NOT NULL,
    horizon_minutes integer,
    forecast_uuid uuid NOT NULL REFERENCES forecasts
);
CREATE INDEX ix_forecast_values_forecast_uuid_horizon_minutes ON forecast_values (forecast_uuid, horizon_minutes);
