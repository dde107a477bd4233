-- Copy readings into the staging table. position numbers them in the order of the input, upwards if the last one per key
-- is to be stored, downwards if the first one is.
--
-- Parameters: none
-- Result: none
-- Index: none (the table has no index)
-- Touches: none
-- After: generation/insert_staging
COPY pg_temp.generation_staging (site_uuid, start_utc, end_utc, generation_power_kw, position) FROM STDIN WITH (FORMAT binary);
