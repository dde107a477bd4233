-- The rows of a small table of the source, as they come.
--
-- Parameters: none
-- Result: none
-- Index: none (a COPY)
-- Touches: none
-- After: adopt/documents_arrived
COPY pg_temp.adopt_documents (document) FROM STDIN WITH (FORMAT binary);
