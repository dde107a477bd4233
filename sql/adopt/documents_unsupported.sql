-- Reject the rows of a table without a counterpart: locations that contain other locations.
--
-- Parameters: none
-- Result: none
-- Index: none (all of the temporary table)
-- Touches: adopt_documents
-- After: adopt/documents_staging, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, reason)
SELECT
    d.document,
    'sites cannot contain other sites' AS reason
FROM pg_temp.adopt_documents AS d;
