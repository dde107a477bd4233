-- Return those of the given sites that a user can see.
--
-- Parameters:
--   email       text    the user's email, case-sensitive
--   site_uuids  uuid[]  the sites
-- Result: row
--   site_uuid  uuid
-- Index: users_email_key, site_group_sites_pkey
-- Touches: 1 + places
SELECT gs.site_uuid
FROM users AS u
JOIN site_group_sites AS gs ON gs.site_group_uuid = u.site_group_uuid
WHERE
    u.email = :'email'::text
    AND gs.site_uuid = ANY(:'site_uuids'::uuid[])
ORDER BY gs.site_uuid;
