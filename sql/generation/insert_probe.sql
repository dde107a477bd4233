-- Whether any reading is stored already in the span of time that is about to be written for each of some sites (a
-- sample, where there are many). Where none is, the rows go straight into the table by COPY, at its full speed; should
-- that meet a stored key after all, it is rolled back to its savepoint and the rows go through the staging table.
--
-- Parameters:
--   site_uuids  uuid[]         the sites
--   first_utc   timestamptz[]  for each site the first start
--   last_utc    timestamptz[]  for each site the last start
--   start_utc   timestamptz    the first start of all: prunes the partitions
--   end_utc     timestamptz    the last start of all
-- Result: row
--   taken  boolean  whether there is one
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
