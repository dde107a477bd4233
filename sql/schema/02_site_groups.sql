-- What a user may see is a group of sites.
CREATE TABLE IF NOT EXISTS site_groups (
    site_group_uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    site_group_name text NOT NULL,
    service_level integer NOT NULL DEFAULT 0,
    created_utc timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT site_groups_pkey PRIMARY KEY (site_group_uuid),
    CONSTRAINT site_groups_site_group_name_key UNIQUE (site_group_name),
    CONSTRAINT site_groups_service_level_check CHECK (service_level >= 0)
);
COMMENT ON TABLE site_groups IS 'Groups of sites; each user is in one group and sees its sites, a site may stand in several';
COMMENT ON COLUMN site_groups.service_level IS 'What the group is entitled to: 0 is the basic service, more is more';
