-- Set session settings until the transaction ends: names are qualified with their schema, expressions and times have
-- the same text on every server, and no statement waits for long.
--
-- Parameters: none
-- Result: row
--   value  text
-- Index: none (no table)
-- Touches: none
SELECT set_config(s.name, s.value, TRUE) AS value
FROM (
    VALUES
    ('search_path', 'pg_catalog, pg_temp'),
    ('timezone', 'UTC'),
    ('datestyle', 'ISO, YMD'),
    ('intervalstyle', 'postgres'),
    ('extra_float_digits', '1'),
    ('quote_all_identifiers', 'off'),
    ('lock_timeout', '2s'),
    ('statement_timeout', '60s')
) AS s (name, value);
