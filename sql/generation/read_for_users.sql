-- The readings of the sites that some users may see, in a window of time, by site and start. A reading comes once, in
-- however many groups its site stands.
--
-- Parameters:
--   user_uuids  uuid[]       the users
--   start_utc   timestamptz  readings that start here or later; -infinity: from the first one on
--   end_utc     timestamptz  readings that start before this; infinity: up to the last one
-- Result: Generation
--   site_uuid            uuid
--   start_utc            timestamptz
--   end_utc              timestamptz
--   generation_power_kw  double precision
--   created_utc          timestamptz
-- Index: users_pkey, site_group_sites_pkey, generation_pkey
-- Touches: user_uuids + places + readings
SELECT
    g.site_uuid,
    g.start_utc,
    g.end_utc,
    g.generation_power_kw,
    g.created_utc
FROM generation AS g
WHERE
    g.site_uuid = ANY(
        ARRAY(
            SELECT DISTINCT gs.site_uuid
            FROM users AS u
            JOIN site_group_sites AS gs ON gs.site_group_uuid = u.site_group_uuid
            WHERE u.user_uuid = ANY(:'user_uuids'::uuid[])
        )
    )
    AND g.start_utc >= :'start_utc'::timestamptz
    AND g.start_utc < :'end_utc'::timestamptz
ORDER BY g.site_uuid, g.start_utc;
