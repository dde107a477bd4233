-- List the rows of a small table that are not stored exactly as in the source, as JSON documents.
--
-- Parameters: none
-- Result: row
--   outcome   text
--   reason    text
--   note      text
--   document  text
--   stored    text
-- Index: none (all of the temporary table)
-- Touches: adopt_rows
-- After: adopt/documents_rows
SELECT
    CASE
        WHEN r.reason IS NOT NULL THEN 'rejected'
        WHEN r.stored @> r.target AND COALESCE(r.stored -> 'metadata' = r.target -> 'metadata', TRUE) THEN 'stored'
        ELSE 'conflict'
    END AS outcome,
    r.reason,
    r.note,
    r.document::text AS document,
    r.stored::text AS stored
FROM pg_temp.adopt_rows AS r
WHERE
    r.reason IS NOT NULL
    OR r.note IS NOT NULL
    OR (r.stored @> r.target) IS NOT TRUE
    OR r.stored -> 'metadata' <> r.target -> 'metadata';
