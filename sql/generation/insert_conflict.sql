-- Find the first staged reading that differs from an earlier one of the same call with the same site and start. The
-- earlier one is staged too, or it is in the table: then its created_utc is the time of this transaction. The rows are
-- numbered downwards, so that insert_new stores the first one per key.
--
-- Parameters:
--   ends_only  boolean      whether only different ends count, because the power of the rows is combined
--   start_utc  timestamptz  the first staged start, for partition pruning
--   end_utc    timestamptz  the last staged start, inclusive
-- Result: row
--   site_uuid       uuid
--   start_utc       timestamptz
--   end_utc         timestamptz
--   power_kw        double precision
--   position        bigint
--   other_end_utc   timestamptz
--   other_power_kw  double precision
--   other_position  bigint  NULL if the place of the earlier one is not known
-- Index: generation_pkey
-- Touches: 3 * generation_staging
-- After: generation/insert_staging
SELECT
    c.site_uuid,
    c.start_utc,
    c.end_utc,
    c.power_kw,
    c.position,
    c.other_end_utc,
    c.other_power_kw,
    c.other_position
FROM (
    (
        SELECT
            s.site_uuid,
            s.start_utc,
            s.end_utc,
            s.generation_power_kw AS power_kw,
            s.position,
            s.other_end_utc,
            s.other_power_kw,
            s.other_position
        FROM (
            SELECT
                n.site_uuid,
                n.start_utc,
                n.end_utc,
                n.generation_power_kw,
                n.position,
                lag(n.end_utc) OVER by_key AS other_end_utc,
                lag(n.generation_power_kw) OVER by_key AS other_power_kw,
                lag(n.position) OVER by_key AS other_position
            FROM pg_temp.generation_staging AS n
            WINDOW by_key AS (PARTITION BY n.site_uuid, n.start_utc ORDER BY n.position DESC)
        ) AS s
        WHERE
            s.end_utc <> s.other_end_utc
            OR (s.generation_power_kw <> s.other_power_kw AND NOT :'ends_only'::boolean)
        ORDER BY s.position DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            n.site_uuid,
            n.start_utc,
            n.end_utc,
            n.generation_power_kw AS power_kw,
            n.position,
            g.end_utc AS other_end_utc,
            g.generation_power_kw AS other_power_kw,
            NULL::bigint AS other_position
        FROM pg_temp.generation_staging AS n
        CROSS JOIN
            LATERAL (
                SELECT
                    o.end_utc,
                    o.generation_power_kw
                FROM generation AS o
                WHERE
                    o.site_uuid = n.site_uuid
                    AND o.start_utc = n.start_utc
                    AND o.start_utc >= :'start_utc'::timestamptz
                    AND o.start_utc <= :'end_utc'::timestamptz
                    AND o.created_utc = now()
                    AND (o.end_utc <> n.end_utc OR o.generation_power_kw <> n.generation_power_kw)
                OFFSET 0  -- forces an index lookup per key: a join would read whole partitions for a few staged rows
            ) AS g
        WHERE NOT :'ends_only'::boolean
        ORDER BY n.position DESC
        LIMIT 1
    )
) AS c
ORDER BY c.position DESC, c.other_position NULLS LAST
LIMIT 1;
