-- Rows of a table that has no counterpart here.
--
-- Parameters:
--   kind  text  the table in the source
-- Result: none
-- Index: none (all of the temporary table)
-- Touches: adopt_documents
-- After: adopt/documents_arrived, adopt/documents_rows
INSERT INTO pg_temp.adopt_rows (document, reason)
SELECT
    d.document,
    CASE :'kind'::text
        WHEN 'location_locations' THEN 'sites lie in no other sites here'
        ELSE 'the history of a site begins here with the day that it is taken over'
    END
FROM pg_temp.adopt_documents AS d;
