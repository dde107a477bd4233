-- New readings, straight into the table. Sorted by site and start they go in fastest, and two writers of the same
-- keys wait for each other in one order, never in a circle.
--
-- Parameters: none
-- Result: none
-- Index: generation_pkey
-- Touches: none
COPY generation (site_uuid, start_utc, end_utc, generation_power_kw) FROM STDIN WITH (FORMAT binary);
