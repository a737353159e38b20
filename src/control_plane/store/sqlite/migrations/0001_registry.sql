-- Moments are nanoseconds since the Unix epoch. Numbers grow within a tenant and are never used twice.

CREATE TABLE tenants (
    tenant TEXT PRIMARY KEY,
    -- The last number taken.
    number INTEGER NOT NULL DEFAULT 0 CHECK (number >= 0),
    -- The bundle that is served.
    active_number INTEGER
) STRICT;

CREATE TABLE policies (
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
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE versions (
    tenant TEXT NOT NULL,
    policy TEXT NOT NULL,
    version TEXT NOT NULL,
    -- As sent: the bundle carries these bytes.
    content TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    signature TEXT NOT NULL,
    public_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    decides TEXT NOT NULL,
    -- What an experiment names: a JSON list of [policy name, version].
    pins TEXT NOT NULL,
    ab_group TEXT CHECK (ab_group IN ('A', 'B')),
    status TEXT NOT NULL CHECK (status IN ('draft', 'testing', 'active', 'retired')),
    predecessor TEXT,
    description TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- When the status changed last; orders retired versions.
    changed_at INTEGER NOT NULL,
    edition INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant, policy, version),
    FOREIGN KEY (tenant, policy) REFERENCES policies (tenant, id)
) STRICT;

CREATE UNIQUE INDEX one_active_version ON versions (tenant, policy) WHERE status = 'active';
CREATE INDEX versions_by_status ON versions (tenant, status);

-- The outbox: one job for every number taken.
CREATE TABLE jobs (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    number INTEGER NOT NULL CHECK (number > 0),
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    kid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Why the last attempt failed.
    error TEXT,
    next_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT;

CREATE INDEX pending_jobs ON jobs (next_attempt_at) WHERE state = 'pending';

-- Write-once: the first archive stored for a number stays.
CREATE TABLE bundles (
    tenant TEXT NOT NULL REFERENCES tenants (tenant),
    number INTEGER NOT NULL,
    revision TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    kid TEXT NOT NULL,
    policies INTEGER NOT NULL,
    archive BLOB NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT;

CREATE TABLE idempotency (
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    -- Who works on it, and until when nobody else may.
    claim TEXT NOT NULL,
    claimed_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- The answer; null while it is worked on.
    reply TEXT,
    PRIMARY KEY (tenant, subject, key)
) STRICT;

CREATE INDEX idempotency_expiry ON idempotency (expires_at);

CREATE TABLE sidecars (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
