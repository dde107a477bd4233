-- Create the staging table for the readings of a range.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_generation (
    generation_uuid uuid,
    site_uuid uuid,
    start_utc timestamptz,
    end_utc timestamptz,
    generation_power_kw double precision,
    created_utc timestamptz
) ON COMMIT DELETE ROWS;
