-- Create the table that maps ids of the source to stored ids. It is kept for the whole session.
--
-- Parameters: none
-- Result: none
-- Index: none (a new table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS adopt_ids (
    kind text NOT NULL,
    source_uuid uuid NOT NULL,
    stored_uuid uuid NOT NULL,
    PRIMARY KEY (kind, source_uuid)
);
