-- Return the newest message about the state of the service.
--
-- Parameters: none
-- Result: Status
--   status_uuid  uuid
--   status       text
--   message      text
--   created_utc  timestamptz
-- Index: status_created_utc_idx
-- Touches: 2
SELECT
    s.status_uuid,
    s.status,
    s.message,
    s.created_utc
FROM status AS s
ORDER BY s.created_utc DESC, s.status_uuid
LIMIT 1;
