-- Insert the changes of sites that are not stored yet. The database user of a change is unknown; `(pvsite-datamodel)`
-- marks where it comes from. A change also counts as stored if only the id of the client or of the model differs, for
-- example because the source has deleted the client: the history cannot be corrected.
--
-- Parameters: none
-- Result: none
-- Index: site_history_pkey
-- Touches: adopt_rows + site_history
-- After: adopt/documents_rows
INSERT INTO site_history (site_uuid, changed_utc, operation, old_row, new_row, actor, database_user)
SELECT
    s.site_uuid,
    s.changed_utc,
    s.operation,
    s.old_row,
    s.new_row,
    s.actor,
    '(pvsite-datamodel)' AS database_user
FROM pg_temp.adopt_rows AS r
CROSS JOIN
    jsonb_to_record(r.target)
        AS s (
            site_uuid uuid,
            changed_utc timestamptz,
            operation text,
            old_row jsonb,
            new_row jsonb,
            actor text
        )
WHERE
    r.reason IS NULL
    AND NOT EXISTS (
        SELECT FROM site_history AS h
        WHERE
            h.site_uuid = s.site_uuid
            AND h.changed_utc = s.changed_utc
            AND h.operation = s.operation
            AND h.new_row - '{client_uuid,ml_model_uuid}'::text[] IS NOT DISTINCT FROM s.new_row - '{client_uuid,ml_model_uuid}'::text[]
    )
-- the order of change_id
ORDER BY s.changed_utc, (r.document ->> 'number')::bigint;
