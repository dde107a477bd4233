-- Look up what is stored for each row of a small table: by id, group membership, or change of a site.
--
-- Parameters:
--   kind  text  the target table
-- Result: none
-- Index: users_pkey, sites_pkey, site_group_sites_pkey, site_history_pkey, inverters_pkey, status_pkey, api_request_pkey
-- Touches: 2 * adopt_rows + clients + ml_models + site_groups
-- After: adopt/documents_rows
UPDATE pg_temp.adopt_rows AS r
SET
    stored = (
        SELECT b.stored
        FROM (
            SELECT to_jsonb(c) AS stored
            FROM clients AS c
            WHERE :'kind'::text = 'clients' AND c.client_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(m) AS stored
            FROM ml_models AS m
            WHERE :'kind'::text = 'ml_models' AND m.ml_model_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(g) AS stored
            FROM site_groups AS g
            WHERE :'kind'::text = 'site_groups' AND g.site_group_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(u) AS stored
            FROM users AS u
            WHERE :'kind'::text = 'users' AND u.user_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(s) AS stored
            FROM sites AS s
            WHERE :'kind'::text = 'sites' AND s.site_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(i) AS stored
            FROM inverters AS i
            WHERE :'kind'::text = 'inverters' AND i.inverter_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(t) AS stored
            FROM status AS t
            WHERE :'kind'::text = 'status' AND t.status_uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(a) AS stored
            FROM api_request AS a
            WHERE :'kind'::text = 'api_request' AND a.uuid = r.stored_uuid
            UNION ALL
            SELECT to_jsonb(gs) AS stored
            FROM site_group_sites AS gs
            WHERE
                :'kind'::text = 'site_group_sites'
                AND gs.site_group_uuid = (r.target ->> 'site_group_uuid')::uuid
                AND gs.site_uuid = (r.target ->> 'site_uuid')::uuid
            UNION ALL
            (
                SELECT to_jsonb(h) AS stored
                FROM site_history AS h
                WHERE
                    :'kind'::text = 'site_history'
                    AND h.site_uuid = (r.target ->> 'site_uuid')::uuid
                    AND h.changed_utc = (r.target ->> 'changed_utc')::timestamptz
                    AND to_jsonb(h) @> r.target
                LIMIT 1  -- the source may contain a change twice
            )
        ) AS b
    )
WHERE r.reason IS NULL;
