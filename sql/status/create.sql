-- Store a message about the state of the service.
--
-- Parameters:
--   status   text  the state, such as ok, warning or error
--   message  text  the message for users
-- Result: Status
--   status_uuid  uuid
--   status       text
--   message      text
--   created_utc  timestamptz
-- Index: none (reads nothing)
-- Touches: none
INSERT INTO status (status, message)
VALUES (:'status'::text, :'message'::text)
RETURNING
    status_uuid,
    status,
    message,
    created_utc;
