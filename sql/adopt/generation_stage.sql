-- The readings of a range, as they come.
--
-- Parameters: none
-- Result: none
-- Index: none (a COPY)
-- Touches: none
-- After: adopt/generation_arrived
COPY pg_temp.adopt_generation (
    generation_uuid,
    site_uuid,
    start_utc,
    end_utc,
    generation_power_kw,
    created_utc
) FROM STDIN WITH (FORMAT binary);
