-- Create the staging table for readings whose keys may already be stored. It is created once per session and emptied at
-- the end of each transaction. So it works with a connection pooler that assigns a server to each transaction.
--
-- Parameters: none
-- Result: none
-- Index: none (creates a table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS generation_staging (
    site_uuid uuid NOT NULL,
    start_utc timestamptz NOT NULL,
    end_utc timestamptz NOT NULL,
    generation_power_kw double precision NOT NULL,
    position bigint NOT NULL
) ON COMMIT DELETE ROWS;
