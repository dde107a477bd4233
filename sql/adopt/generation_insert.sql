-- Insert the readings whose key is not stored yet, in key order, as generation/insert_new does.
--
-- Parameters:
--   start_utc  timestamptz  first start, for partition pruning
--   end_utc    timestamptz  last start, inclusive
-- Result: none
-- Index: generation_pkey
-- Touches: adopt_generation_rows + month_readings
-- After: adopt/generation_rows
INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw, created_utc)
SELECT
    n.site_uuid,
    n.start_utc,
    n.end_utc,
    n.generation_power_kw,
    COALESCE(n.created_utc, now())
FROM pg_temp.adopt_generation_rows AS n
WHERE
    n.reason IS NULL
    AND NOT EXISTS (
        SELECT
        FROM generation AS g
        WHERE
            g.site_uuid = n.site_uuid
            AND g.start_utc = n.start_utc
            AND g.start_utc >= :'start_utc'::timestamptz
            AND g.start_utc <= :'end_utc'::timestamptz
    )
ORDER BY n.site_uuid, n.start_utc
ON CONFLICT (site_uuid, start_utc) DO NOTHING;
