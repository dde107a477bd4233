-- Advance the sequence of ml_id past the copied values, so that it does not generate them again.
--
-- Parameters: none
-- Result: row
--   last  bigint
-- Index: none (all of the temporary table)
-- Touches: adopt_rows
-- After: adopt/documents_rows
WITH c AS (SELECT pg_get_serial_sequence('sites', 'ml_id')::regclass AS sequence)

SELECT setval(c.sequence, m.ml_id) AS last
FROM (
    SELECT max((r.target ->> 'ml_id')::bigint) AS ml_id FROM pg_temp.adopt_rows AS r
    WHERE r.reason IS NULL
) AS m
CROSS JOIN c
WHERE m.ml_id > COALESCE(pg_sequence_last_value(c.sequence), 0);
