-- Prepare readings in key order, with a reason for those that cannot be stored. If several have the same site and
-- start, the newest one (created_utc) is stored.
--
-- Parameters: none
-- Result: none
-- Index: none (sites are few beside the readings of a range)
-- Touches: adopt_generation + sites
-- After: adopt/generation_staging, adopt/generation_rows
INSERT INTO pg_temp.adopt_generation_rows (  -- noqa: disable=ST05
    generation_uuid, site_uuid, start_utc, end_utc, generation_power_kw, created_utc, reason
)
SELECT
    g.generation_uuid,
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc,
    CASE
        WHEN c.reason IS NOT NULL THEN c.reason
        WHEN
            row_number() OVER (
                PARTITION BY g.site_uuid, g.start_utc, c.reason
                ORDER BY g.created_utc DESC NULLS LAST, g.generation_uuid DESC
            ) > 1 THEN 'a newer reading has the same site and start'
    END
FROM pg_temp.adopt_generation AS g
LEFT JOIN sites AS s ON s.site_uuid = g.site_uuid
CROSS JOIN
    LATERAL (
        SELECT CASE
            WHEN s.site_uuid IS NULL THEN 'its site does not exist'
            WHEN
                (g.start_utc >= '1970-01-01T00:00Z' AND g.start_utc < '2100-01-01T00:00Z') IS NOT TRUE
                THEN 'its start is outside 1970 to 2099'
            WHEN (g.end_utc > g.start_utc AND g.end_utc < 'infinity') IS NOT TRUE THEN 'its end is not after its start'
            WHEN (g.generation_power_kw > '-Infinity' AND g.generation_power_kw < 'Infinity') IS NOT TRUE
                THEN 'its power is NULL, NaN or infinite'
        END AS reason
    ) AS c
ORDER BY g.site_uuid, g.start_utc;
