-- What is to become of each of them.
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
    reason text -- why it is not taken over
) ON COMMIT DELETE ROWS;
