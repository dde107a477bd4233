-- Create the view of the readings to archive. For a detached partition, prune/detach_statements returns the
-- statement.
--
-- Parameters: none
-- Result: none
-- Index: none (no row is read)
-- Touches: none
CREATE OR REPLACE TEMPORARY VIEW generation_pruned AS
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM generation AS g;
