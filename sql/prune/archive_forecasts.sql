-- List the forecasts to archive, by site and timestamp.
--
-- Parameters:
--   start_utc  timestamptz  first timestamp; -infinity: unbounded
--   end_utc    timestamptz  end of the window, exclusive; infinity: unbounded
-- Result: row
--   forecast_uuid         uuid
--   site_uuid             uuid
--   timestamp_utc         timestamptz
--   created_utc           timestamptz
--   start_utc             timestamptz  start of the first slot
--   resolution_minutes    integer      duration of a slot
--   forecast_version      text
--   model_name            text         NULL: unknown
--   model_version         text
--   ml_model_uuid         uuid
--   power_kw              real[]
--   probabilistic_levels  text[]
--   probabilistic_kw      real[]       one row for each level, one column for each slot
--   digest                text         hash of the columns that an insert may replace
-- Index: none (all rows of the window are read)
-- Touches: forecasts_pruned + ml_models
-- After: prune/view_forecasts
SELECT
    f.forecast_uuid,
    f.site_uuid,
    f.timestamp_utc,
    f.created_utc,
    f.start_utc,
    f.resolution_minutes,
    f.forecast_version,
    m.name AS model_name,
    m.version AS model_version,
    f.ml_model_uuid,
    f.power_kw,
    f.probabilistic_levels,
    f.probabilistic_kw,
    encode(sha256(record_send(row(
        f.created_utc, f.start_utc, f.resolution_minutes, f.power_kw, f.probabilistic_levels, f.probabilistic_kw
    ))), 'hex') AS digest
FROM pg_temp.forecasts_pruned AS f
LEFT JOIN ml_models AS m ON m.ml_model_uuid = f.ml_model_uuid
WHERE f.timestamp_utc >= :'start_utc'::timestamptz AND f.timestamp_utc < :'end_utc'::timestamptz
ORDER BY f.site_uuid, f.timestamp_utc, f.forecast_uuid;
