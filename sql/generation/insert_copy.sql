-- Copy new readings into the table. Rows must be sorted by site and start: this is fastest, and concurrent writers of
-- the same keys do not deadlock.
--
-- Parameters: none
-- Result: none
-- Index: generation_pkey
-- Touches: none
COPY generation (site_uuid, start_utc, end_utc, generation_power_kw) FROM STDIN WITH (FORMAT binary);
