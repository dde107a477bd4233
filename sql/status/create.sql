-- Says how the service is.
--
-- Parameters:
--   status   text  in a word: ok, warning, error
--   message  text  in a sentence
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
