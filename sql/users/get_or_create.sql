-- The user of that email; if there is none, made together with a site group named site_group_for_<email>, or in the
-- one that is left over from before. No row means that another caller made it at this very moment and has committed
-- since: ask again.
--
-- Parameters:
--   email  text  the user's email, as it is written
-- Result: User
--   user_uuid        uuid
--   email            text
--   site_group_uuid  uuid
--   created_utc      timestamptz
-- Index: users_email_key, site_groups_site_group_name_key
-- Touches: 2
WITH found AS (
    SELECT
        u.user_uuid,
        u.email,
        u.site_group_uuid,
        u.created_utc
    FROM users AS u
    WHERE u.email = :'email'::text
),

new_group AS (
    INSERT INTO site_groups (site_group_name)
    SELECT 'site_group_for_' || :'email'::text
    WHERE NOT EXISTS (SELECT FROM found)
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

made AS (
    INSERT INTO users (email, site_group_uuid)
    SELECT
        :'email'::text,
        o.site_group_uuid
    FROM own_group AS o
    WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (email) DO NOTHING
    RETURNING user_uuid, email, site_group_uuid, created_utc
)

SELECT
    f.user_uuid,
    f.email,
    f.site_group_uuid,
    f.created_utc
FROM found AS f
UNION ALL
SELECT
    m.user_uuid,
    m.email,
    m.site_group_uuid,
    m.created_utc
FROM made AS m;
