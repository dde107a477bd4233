-- Create the table for prepared rows: the target row, or the reason why a row is rejected.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_rows (
    document jsonb NOT NULL, -- the row in the source
    source_uuid uuid,        -- its id in the source
    stored_uuid uuid,        -- its id here; a different one if its name already exists
    target jsonb,            -- the row to store
    reason text,             -- why it is rejected
    note text,               -- what differs from the source
    stored jsonb             -- the row that is stored
) ON COMMIT DELETE ROWS;
