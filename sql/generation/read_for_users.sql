-- Return the readings of the sites that the given users can see, in a time window, ordered by site and start. Each
-- reading is returned once, even if several users can see its site.
--
-- Parameters:
--   user_uuids  uuid[]       the users
--   start_utc   timestamptz  start of the window, inclusive; -infinity for no limit
--   end_utc     timestamptz  end of the window, exclusive; infinity for no limit
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
