-- The tables that pvsite-datamodel 1.2.15 makes (Base.metadata.create_all); 1.2.3 made the same.
CREATE TYPE location_type AS ENUM ('site', 'region');
CREATE TYPE site_asset_type AS ENUM ('pv', 'wind');
CREATE TABLE clients (client_uuid uuid PRIMARY KEY, client_name varchar(255) NOT NULL UNIQUE, created_utc timestamp);
CREATE TABLE ml_model (
    model_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar,
    version varchar,
    description varchar DEFAULT 'No description provided.',
    created_utc timestamp
);
CREATE TABLE location_groups (
    location_group_uuid uuid PRIMARY KEY,
    location_group_name varchar(255) UNIQUE,
    service_level integer,
    created_utc timestamp
);
CREATE TABLE users (
    user_uuid uuid PRIMARY KEY,
    email varchar(255) UNIQUE,
    location_group_uuid uuid NOT NULL REFERENCES location_groups,
    created_utc timestamp
);
CREATE TABLE locations (
    location_uuid uuid PRIMARY KEY,
    client_location_id integer,
    client_location_name varchar(255),
    country varchar(255) DEFAULT 'uk',
    asset_type site_asset_type NOT NULL DEFAULT 'pv',
    latitude double precision,
    longitude double precision,
    capacity_kw double precision,
    ml_id integer NOT NULL,
    active boolean,
    client_uuid uuid REFERENCES clients,
    ml_model_uuid uuid REFERENCES ml_model,
    location_type location_type NOT NULL DEFAULT 'site',
    location_metadata jsonb,
    region varchar(255),
    dno varchar(255),
    gsp varchar(255),
    orientation double precision,
    tilt double precision,
    inverter_capacity_kw double precision,
    module_capacity_kw double precision,
    created_utc timestamp
);
CREATE TABLE location_group_locations (
    location_group_location_uuid uuid PRIMARY KEY,
    location_group_uuid uuid NOT NULL REFERENCES location_groups,
    location_uuid uuid NOT NULL REFERENCES locations,
    created_utc timestamp,
    CONSTRAINT idx_location_group_location UNIQUE (location_group_uuid, location_uuid)
);
CREATE TABLE location_locations (
    location_location_uuid uuid PRIMARY KEY,
    location_parent_uuid uuid NOT NULL REFERENCES locations,
    location_child_uuid uuid NOT NULL REFERENCES locations,
    created_utc timestamp
);
CREATE TABLE locations_history (
    location_history_uuid uuid PRIMARY KEY,
    location_uuid uuid NOT NULL,
    location_data jsonb NOT NULL,
    changed_by uuid REFERENCES users,
    operation_type text NOT NULL,
    created_utc timestamp
);
CREATE TABLE inverters (inverter_uuid uuid PRIMARY KEY, location_uuid uuid NOT NULL REFERENCES locations, created_utc timestamp);
CREATE TABLE status (status_uuid uuid PRIMARY KEY, status varchar(255), message varchar(255), created_utc timestamp);
CREATE TABLE api_request (
    uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    url varchar,
    user_uuid uuid REFERENCES users,
    created_utc timestamp
);
CREATE TABLE generation (
    generation_uuid uuid PRIMARY KEY,
    location_uuid uuid NOT NULL REFERENCES locations,
    generation_power_kw double precision NOT NULL,
    start_utc timestamp NOT NULL,
    end_utc timestamp NOT NULL,
    created_utc timestamp,
    CONSTRAINT uniq_cons_location_start_end UNIQUE (location_uuid, start_utc, end_utc)
);
CREATE INDEX ix_generation_start_utc ON generation (start_utc);
CREATE TABLE forecasts (
    forecast_uuid uuid PRIMARY KEY,
    location_uuid uuid NOT NULL REFERENCES locations,
    timestamp_utc timestamp NOT NULL,
    forecast_version varchar(32) NOT NULL,
    created_utc timestamp
);
CREATE INDEX ix_forecasts_location_uuid_timestamp_utc ON forecasts (location_uuid, timestamp_utc);
CREATE TABLE forecast_values (
    forecast_value_uuid uuid PRIMARY KEY,
    start_utc timestamp NOT NULL,
    end_utc timestamp NOT NULL,
    forecast_power_kw double precision NOT NULL,
    horizon_minutes integer NOT NULL DEFAULT -1,
    forecast_uuid uuid NOT NULL REFERENCES forecasts,
    ml_model_uuid uuid REFERENCES ml_model,
    probabilistic_values jsonb NOT NULL DEFAULT '{}',
    created_utc timestamp
);
CREATE INDEX ix_forecast_values_forecast_uuid_horizon_minutes ON forecast_values (forecast_uuid, horizon_minutes);
