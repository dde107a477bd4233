-- Copy the readings of a range into the staging table.
--
-- Parameters: none
-- Result: none
-- Index: none (a COPY)
-- Touches: none
-- After: adopt/generation_staging
COPY pg_temp.adopt_generation (
    generation_uuid,
    site_uuid,
    start_utc,
    end_utc,
    generation_power_kw,
    created_utc
) FROM STDIN WITH (FORMAT binary);
