-- Forecasts, a row each: the values are an array beside it. Value i covers start_utc + (i - 1) * resolution up to + i * resolution.
CREATE OR REPLACE FUNCTION forecast_gaps(start_utc timestamptz, resolution_minutes integer, power_kw real[])
RETURNS tstzmultirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN (SELECT count(*) FROM unnest(g.gaps)) <= 32 THEN g.gaps ELSE tstzmultirange(range_merge(g.gaps)) END
    FROM (
        SELECT range_agg(tstzrange(
            (start_utc AT TIME ZONE 'UTC' + make_interval(mins => resolution_minutes * (u.slot - 1)::integer)) AT TIME ZONE 'UTC',
            (start_utc AT TIME ZONE 'UTC' + make_interval(mins => resolution_minutes * u.slot::integer)) AT TIME ZONE 'UTC'
        )) AS gaps
        FROM unnest(power_kw) WITH ORDINALITY AS u (power_kw, slot)
        WHERE u.power_kw IS NULL
    ) AS g
$$;
COMMENT ON FUNCTION forecast_gaps(timestamptz, integer, real[]) IS
'The stretches of a forecast outside of which every slot has a value; more than 32 are taken together as one, to bound the index';

CREATE TABLE IF NOT EXISTS forecasts (
    forecast_uuid uuid NOT NULL DEFAULT (
        overlay(lpad(to_hex((date_part('epoch', clock_timestamp()) * 4096000)::bigint), 15, '0'), '7', 13, 0)
        || right(translate(gen_random_uuid()::text, '-', ''), 16)
    )::uuid,
    site_uuid uuid NOT NULL,
    timestamp_utc timestamptz NOT NULL,
    ml_model_uuid uuid,
    forecast_version text NOT NULL DEFAULT '',
    created_utc timestamptz NOT NULL DEFAULT now(),
    start_utc timestamptz NOT NULL,
    resolution_minutes integer NOT NULL,
    power_kw real[] NOT NULL,
    probabilistic_levels text[],
    probabilistic_kw real[],
    end_utc timestamptz NOT NULL GENERATED ALWAYS AS (
        (start_utc AT TIME ZONE 'UTC' + make_interval(mins => resolution_minutes * cardinality(power_kw))) AT TIME ZONE 'UTC'
    ) STORED,
    gaps tstzmultirange GENERATED ALWAYS AS (
        CASE WHEN array_position(power_kw, NULL) IS NOT NULL THEN forecast_gaps(start_utc, resolution_minutes, power_kw) END
    ) STORED,
    CONSTRAINT forecasts_pkey PRIMARY KEY (forecast_uuid, site_uuid, timestamp_utc),
    CONSTRAINT forecasts_key UNIQUE NULLS NOT DISTINCT (site_uuid, timestamp_utc, ml_model_uuid, forecast_version),
    CONSTRAINT forecasts_resolution CHECK (resolution_minutes >= 1 AND resolution_minutes <= 1440),
    CONSTRAINT forecasts_power_shape CHECK (
        array_ndims(power_kw) = 1 AND array_lower(power_kw, 1) = 1 AND cardinality(array_remove(power_kw, NULL)) >= 1
    ),
    CONSTRAINT forecasts_power_finite CHECK (
        NOT ('NaN'::real = ANY(power_kw)) IS TRUE
        AND NOT ('Infinity'::real = ANY(power_kw)) IS TRUE
        AND NOT ('-Infinity'::real = ANY(power_kw)) IS TRUE
    ),
    CONSTRAINT forecasts_probabilistic_shape CHECK (
        (probabilistic_levels IS NULL AND probabilistic_kw IS NULL)
        OR (
            array_ndims(probabilistic_levels) = 1 AND array_lower(probabilistic_levels, 1) = 1
            AND array_position(probabilistic_levels, NULL) IS NULL
            AND array_ndims(probabilistic_kw) = 2
            AND array_lower(probabilistic_kw, 1) = 1 AND array_lower(probabilistic_kw, 2) = 1
            AND array_length(probabilistic_kw, 1) = cardinality(probabilistic_levels)
            AND array_length(probabilistic_kw, 2) = cardinality(power_kw)
        ) IS TRUE
    ),
    CONSTRAINT forecasts_probabilistic_finite CHECK (
        NOT ('NaN'::real = ANY(probabilistic_kw)) IS TRUE
        AND NOT ('Infinity'::real = ANY(probabilistic_kw)) IS TRUE
        AND NOT ('-Infinity'::real = ANY(probabilistic_kw)) IS TRUE
    )
) PARTITION BY RANGE (timestamp_utc);
CREATE INDEX IF NOT EXISTS forecasts_latest_idx ON forecasts (site_uuid, end_utc)
INCLUDE (start_utc, resolution_minutes, gaps, timestamp_utc, created_utc, ml_model_uuid, forecast_uuid);
COMMENT ON TABLE forecasts IS 'Forecasts, whole: a row each, with its values as an array; a partition a month (UTC) of timestamp_utc';
COMMENT ON COLUMN forecasts.forecast_uuid IS 'Ordered by time, version 7 of RFC 9562, so that the primary key grows at its end';
COMMENT ON COLUMN forecasts.timestamp_utc IS 'The "now" that the forecast was made for; its values look ahead from here';
COMMENT ON COLUMN forecasts.ml_model_uuid IS 'The model that made it; NULL where it is not known';
COMMENT ON COLUMN forecasts.forecast_version IS 'The version of the software that made it; empty where it was not given';
COMMENT ON COLUMN forecasts.created_utc IS 'When it was made (or replaced); later than timestamp_utc for a backfill';
COMMENT ON COLUMN forecasts.start_utc IS 'Where the first slot begins';
COMMENT ON COLUMN forecasts.resolution_minutes IS 'How long each slot lasts';
COMMENT ON COLUMN forecasts.power_kw IS 'Mean power in each slot; NULL where the forecast has no value for it';
COMMENT ON COLUMN forecasts.probabilistic_levels IS 'Names of the probabilistic values, such as {p10,p90}; NULL where there are none';
COMMENT ON COLUMN forecasts.probabilistic_kw IS 'Probabilistic values: a line for each level, a column for each slot';
COMMENT ON COLUMN forecasts.end_utc IS
'Where the last slot ends: stored, so that a read skips a forecast that is over without opening its arrays';
COMMENT ON COLUMN forecasts.gaps IS
'Outside of these stretches every slot has a value; NULL where all have one, the usual case. '
'Tells what a newer forecast hides of older ones';
COMMENT ON CONSTRAINT forecasts_pkey ON forecasts IS
'Finds a forecast by its uuid. The other columns are there because a key must contain the partition key, and for replication';
COMMENT ON CONSTRAINT forecasts_key ON forecasts IS
'A forecast written again replaces itself; an unknown model is one value like any other';
COMMENT ON CONSTRAINT forecasts_power_shape ON forecasts IS 'One dimension, counted from 1, with at least one value';
COMMENT ON CONSTRAINT forecasts_probabilistic_shape ON forecasts IS 'Both or neither; as many lines as levels, as many columns as slots';
COMMENT ON INDEX forecasts_latest_idx IS 'Which forecasts of a site reach into a time window, without touching the table';
CREATE OR REPLACE TRIGGER forecasts_sites_exist AFTER INSERT ON forecasts
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION sites_exist('forecasts_site_uuid_fkey');
CREATE OR REPLACE TRIGGER forecasts_ml_models_exist AFTER INSERT ON forecasts
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION ml_models_exist('forecasts_ml_model_uuid_fkey');
CREATE OR REPLACE TRIGGER forecasts_key_is_fixed BEFORE UPDATE OF site_uuid, timestamp_utc, ml_model_uuid, forecast_version ON forecasts
FOR EACH STATEMENT EXECUTE FUNCTION key_is_fixed('forecasts');
