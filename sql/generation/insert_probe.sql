-- Check whether readings are already stored for any of the given sites (a sample, if there are many) in its time span.
-- If not, the new rows are copied straight into the table, at full speed. If that COPY meets a stored key nevertheless,
-- it is rolled back, and the rows are inserted by way of the staging table.
--
-- Parameters:
--   site_uuids  uuid[]         the sites
--   first_utc   timestamptz[]  the first new start of each site
--   last_utc    timestamptz[]  the last new start of each site
--   start_utc   timestamptz    the first start of all sites, for partition pruning
--   end_utc     timestamptz    the last start of all sites, inclusive
-- Result: row
--   taken  boolean  whether a reading is stored
-- Index: generation_pkey
-- Touches: 1
SELECT
    EXISTS(
        SELECT
        FROM unnest(:'site_uuids'::uuid[], :'first_utc'::timestamptz[], :'last_utc'::timestamptz[]) AS n (site_uuid, first_utc, last_utc)
        CROSS JOIN LATERAL (
            SELECT
            FROM generation AS g
            WHERE
                g.site_uuid = n.site_uuid
                AND g.start_utc >= n.first_utc
                AND g.start_utc <= n.last_utc
                AND g.start_utc >= :'start_utc'::timestamptz
                AND g.start_utc <= :'end_utc'::timestamptz
            LIMIT 1
        ) AS stored
    ) AS taken;
