-- Rows of a table that has no counterpart here: which site lies in which.
--
-- Parameters: none
-- Result: none
-- Index: none (all of the temporary table)
-- Touches: adopt_documents
-- After: adopt/documents_arrived, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, reason)
SELECT
    d.document,
    'sites lie in no other sites here' AS reason
FROM pg_temp.adopt_documents AS d;
