-- Takes the history of the sites away; the sites stay.
DROP TRIGGER IF EXISTS sites_history_insert ON sites;
DROP TRIGGER IF EXISTS sites_history_update ON sites;
DROP TRIGGER IF EXISTS sites_history_delete ON sites;
DROP TRIGGER IF EXISTS sites_history_truncate ON sites;
DROP FUNCTION IF EXISTS write_site_history();
DROP TABLE IF EXISTS site_history;
