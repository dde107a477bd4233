-- Count the rows of a small table by outcome. A row is `stored` if the stored row has all values of the target row, and
-- the same metadata.
--
-- Parameters: none
-- Result: row
--   outcome  text
--   reason   text
--   note     text
--   rows     bigint
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
    CASE WHEN r.reason IS NULL THEN r.note END AS note,
    count(*) AS rows
FROM pg_temp.adopt_rows AS r
GROUP BY outcome, r.reason, r.note;
