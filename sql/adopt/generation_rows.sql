-- Create the table for prepared readings, with the reason why a reading is rejected.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_generation_rows (
    generation_uuid uuid,
    site_uuid uuid,
    start_utc timestamptz,
    end_utc timestamptz,
    generation_power_kw double precision,
    created_utc timestamptz,
    reason text -- why it is rejected
) ON COMMIT DELETE ROWS;
