-- What is to become of each of them.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_rows (
    document jsonb NOT NULL, -- the source's row
    source_uuid uuid,        -- its id there
    stored_uuid uuid,        -- the id that it has here: another one where its name is taken
    target jsonb,            -- the row as it has to stand here
    reason text,             -- why it is not taken over
    note text,               -- what of it is taken over otherwise than it was
    stored jsonb             -- the row that stands here in its place
) ON COMMIT DELETE ROWS;
