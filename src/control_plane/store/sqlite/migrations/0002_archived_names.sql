-- Names are unique among the policies that are not archived. A table's own constraint cannot be
-- dropped, so the table is made anew; killed in between, all of this runs again.
PRAGMA foreign_keys = OFF;

BEGIN IMMEDIATE;

DROP TABLE IF EXISTS policies_anew;

CREATE TABLE policies_anew (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    format TEXT NOT NULL CHECK (format IN ('json', 'yaml', 'rego', 'opaque')),
    status TEXT NOT NULL CHECK (status IN ('draft', 'active', 'deprecated', 'archived')),
    tags TEXT NOT NULL,
    compliance_tags TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Counts the changes of the policy and of its versions.
    edition INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant, id)
) STRICT;

INSERT INTO policies_anew (tenant, id, name, description, format, status, tags, compliance_tags,
    created_by, created_at, updated_at, edition)
SELECT tenant, id, name, description, format, status, tags, compliance_tags,
    created_by, created_at, updated_at, edition
FROM policies;

DROP TABLE policies;

ALTER TABLE policies_anew RENAME TO policies;

CREATE UNIQUE INDEX live_names ON policies (tenant, name) WHERE status <> 'archived';

CREATE INDEX policies_by_name ON policies (tenant, name);

COMMIT;

PRAGMA foreign_keys = ON;
