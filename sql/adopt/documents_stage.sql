-- Copy the rows of a small table of the source into the staging table.
--
-- Parameters: none
-- Result: none
-- Index: none (a COPY)
-- Touches: none
-- After: adopt/documents_staging
COPY pg_temp.adopt_documents (document) FROM STDIN WITH (FORMAT binary);
