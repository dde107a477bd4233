-- Return the changes of a site, oldest first. The site may have been deleted.
--
-- Parameters:
--   site_uuid  uuid    the site
--   limit      text    return at most this many rows; empty for all
--   offset     bigint  skip this many rows
-- Result: SiteChange
--   site_uuid      uuid
--   changed_utc    timestamptz
--   change_id      bigint
--   operation      text
--   old_row        jsonb
--   new_row        jsonb
--   actor          text
--   database_user  text
-- Index: site_history_pkey
-- Touches: changes
SELECT
    h.site_uuid,
    h.changed_utc,
    h.change_id,
    h.operation,
    h.old_row,
    h.new_row,
    h.actor,
    h.database_user
FROM site_history AS h
WHERE h.site_uuid = :'site_uuid'::uuid
ORDER BY h.changed_utc, h.change_id
LIMIT NULLIF(:'limit', '')::bigint OFFSET :'offset'::bigint;
