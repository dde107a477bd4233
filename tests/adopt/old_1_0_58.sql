-- What the versions up to 1.0.58 added to these, a step at a time; databases stopped at any of them.
-- by 1.0.20
CREATE TYPE site_asset_type AS ENUM ('pv', 'wind');
ALTER TABLE sites
ADD COLUMN country varchar(255) DEFAULT 'uk',
ADD COLUMN asset_type site_asset_type NOT NULL DEFAULT 'pv';
-- by 1.0.34
CREATE TABLE ml_model (
    created_utc timestamp,
    model_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar,
    version varchar
);
ALTER TABLE forecast_values ADD COLUMN ml_model_uuid uuid REFERENCES ml_model;
-- by 1.0.45
CREATE TABLE clients (created_utc timestamp, client_uuid uuid PRIMARY KEY, client_name varchar(255) NOT NULL UNIQUE);
ALTER TABLE site_groups ADD COLUMN service_level integer;
ALTER TABLE sites
DROP CONSTRAINT sites_ml_id_key,
ADD COLUMN client_uuid uuid REFERENCES clients,
ADD COLUMN ml_model_uuid uuid REFERENCES ml_model;
-- by 1.0.53
ALTER TABLE ml_model ADD COLUMN description varchar DEFAULT 'No description provided.';
ALTER TABLE sites ADD COLUMN active boolean;
CREATE TABLE sites_history (
    created_utc timestamp,
    site_history_uuid uuid PRIMARY KEY,
    site_uuid uuid NOT NULL,
    site_data jsonb NOT NULL,
    changed_by uuid REFERENCES users,
    operation_type text NOT NULL
);
ALTER TABLE forecast_values ALTER COLUMN horizon_minutes SET DEFAULT -1;
-- by 1.0.58
ALTER TABLE forecast_values ADD COLUMN probabilistic_values jsonb NOT NULL DEFAULT '{}';
