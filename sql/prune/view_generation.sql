-- What of the table itself goes into an archive. For a detached partition, prune/detach_statements has the statement.
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
