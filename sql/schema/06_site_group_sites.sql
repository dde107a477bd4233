-- Which site stands in which group.
CREATE TABLE IF NOT EXISTS site_group_sites (
    site_group_uuid uuid NOT NULL,
    site_uuid uuid NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT site_group_sites_pkey PRIMARY KEY (site_group_uuid, site_uuid),
    CONSTRAINT site_group_sites_site_group_uuid_fkey FOREIGN KEY (site_group_uuid)
    REFERENCES site_groups (site_group_uuid) ON DELETE CASCADE,
    CONSTRAINT site_group_sites_site_uuid_fkey FOREIGN KEY (site_uuid) REFERENCES sites (site_uuid) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS site_group_sites_site_uuid_idx ON site_group_sites (site_uuid);
COMMENT ON TABLE site_group_sites IS 'Which site stands in which group; gone with either of them';
