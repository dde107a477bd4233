-- Run on the source: read the readings of a range. Times have no zone and are UTC. Some versions have the column
-- site_uuid, others location_uuid. The subquery finds its own columns first, and takes the other one, NULL, from
-- `missing`.
--
-- Parameters:
--   start_utc  timestamp without time zone  first start
--   end_utc    timestamp without time zone  last start, inclusive
-- Result: row
--   generation_uuid      uuid
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: none (the source's ix_generation_start_utc)
-- Touches: result
SELECT  -- noqa: disable=ST05
    r.generation_uuid,
    r.site_uuid,
    r.start_utc,
    r.end_utc,
    r.generation_power_kw,
    r.created_utc
FROM (VALUES (NULL::uuid, NULL::uuid)) AS missing (site_uuid, location_uuid)
CROSS JOIN LATERAL (
    SELECT
        g.generation_uuid,
        COALESCE(site_uuid, location_uuid) AS site_uuid,  -- noqa: RF02
        g.start_utc AT TIME ZONE 'UTC' AS start_utc,
        g.end_utc AT TIME ZONE 'UTC' AS end_utc,
        g.generation_power_kw,
        g.created_utc AT TIME ZONE 'UTC' AS created_utc
    FROM generation AS g
    WHERE g.start_utc >= :'start_utc'::timestamp AND g.start_utc <= :'end_utc'::timestamp
) AS r;
