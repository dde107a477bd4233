-- Where readings wait whose keys may be stored already. Made once a session and emptied at the end of each
-- transaction, so that it works behind a pooler that lends the server for one transaction.
--
-- Parameters: none
-- Result: none
-- Index: none (makes a table)
-- Touches: none
CREATE TEMPORARY TABLE IF NOT EXISTS generation_staging (
    site_uuid uuid NOT NULL,
    start_utc timestamptz NOT NULL,
    end_utc timestamptz NOT NULL,
    generation_power_kw double precision NOT NULL,
    position bigint NOT NULL
) ON COMMIT DELETE ROWS;
