-- Return the user with this email. If there is none, create the user in the site group site_group_for_<email>, which is
-- created too unless it exists. No row means that a concurrent transaction created the user. Run the query again.
--
-- Parameters:
--   email  text  the user's email, case-sensitive
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   site_group_name  text
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_site_group_name_key, site_groups_pkey
-- Touches: 3
WITH existing AS (
    SELECT
        u.user_uuid,
        u.email,
        u.site_group_uuid,
        g.site_group_name,
        u.created_utc
    FROM users AS u
    JOIN site_groups AS g ON g.site_group_uuid = u.site_group_uuid
    WHERE u.email = :'email'::text
),

new_group AS (
    INSERT INTO site_groups (site_group_name)
    SELECT 'site_group_for_' || :'email'::text
    WHERE NOT EXISTS (SELECT FROM existing)
    ON CONFLICT (site_group_name) DO NOTHING
    RETURNING site_group_uuid
),

own_group AS (
    SELECT n.site_group_uuid
    FROM new_group AS n
    UNION ALL
    SELECT g.site_group_uuid
    FROM site_groups AS g
    WHERE g.site_group_name = 'site_group_for_' || :'email'::text
),

created AS (
    INSERT INTO users (email, site_group_uuid)
    SELECT
        :'email'::text,
        o.site_group_uuid
    FROM own_group AS o
    WHERE NOT EXISTS (SELECT FROM existing)
    ON CONFLICT (email) DO NOTHING
    RETURNING user_uuid, email, site_group_uuid, created_utc
)

SELECT
    e.user_uuid,
    e.email,
    e.site_group_uuid,
    e.site_group_name,
    e.created_utc
FROM existing AS e
UNION ALL
SELECT
    m.user_uuid,
    m.email,
    m.site_group_uuid,
    'site_group_for_' || m.email AS site_group_name,
    m.created_utc
FROM created AS m;
