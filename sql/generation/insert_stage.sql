-- Readings into the staging table; `position` counts them in the order given.
--
-- Parameters: none
-- Result: none
-- Index: none (a table without one)
-- Touches: none
-- After: generation/insert_staging
COPY pg_temp.generation_staging (site_uuid, start_utc, end_utc, generation_power_kw, position) FROM STDIN WITH (FORMAT binary);
