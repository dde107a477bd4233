-- Create the temporary table of the sites whose rows to archive.
--
-- Parameters: none
-- Result: none
-- Index: none (no row is read)
-- Touches: none
CREATE TEMPORARY TABLE pruned_sites (site_uuid uuid PRIMARY KEY);
