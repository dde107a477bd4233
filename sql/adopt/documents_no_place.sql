-- Rows of a table that has no counterpart here.
--
-- Parameters: none
-- Result: none
-- Index: none
-- Touches: 2 * result
-- After: adopt/documents_arrived, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, reason)
SELECT
    d.document,
    'there is no such table here'
FROM pg_temp.adopt_documents AS d;
