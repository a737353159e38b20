//! The records, with their words checked.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::model::{Group, PolicyId, TenantId, Timestamp, VersionStatus};

use super::StoreError;

/// How a policy's content is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One of our documents, or an object that looks like none of them.
    Json,
    /// The same; the word authors use whose files are YAML.
    Yaml,
    /// `{"modules": {..}, "data": {..}}`.
    Rego,
    /// Any object; decides nothing, whatever it looks like.
    Opaque,
}

impl Format {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Rego => "rego",
            Self::Opaque => "opaque",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "json" => Some(Self::Json),
            "yaml" => Some(Self::Yaml),
            "rego" => Some(Self::Rego),
            "opaque" => Some(Self::Opaque),
            _ => None,
        }
    }
}

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyStatus {
    /// No version was ever activated.
    Draft,
    Active,
    Deprecated,
    Archived,
}

impl PolicyStatus {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Archived => "archived",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "draft" => Some(Self::Draft),
            "active" => Some(Self::Active),
            "deprecated" => Some(Self::Deprecated),
            "archived" => Some(Self::Archived),
            _ => None,
        }
    }
}

/// A policy.
#[derive(Clone, Debug)]
pub struct PolicyRow {
    pub id: PolicyId,
    pub tenant: TenantId,
    pub name: String,
    pub description: Option<String>,
    pub format: Format,
    pub status: PolicyStatus,
    pub tags: Vec<String>,
    pub compliance_tags: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Counts the changes of the policy and of its versions.
    pub edition: i64,
    /// The active version, else the newest; None before the first.
    pub version: Option<String>,
}

/// A version of a policy.
#[derive(Clone, Debug)]
pub struct VersionRow {
    pub policy: PolicyId,
    pub version: String,
    /// JSON text as sent.
    pub content: String,
    /// Hex SHA-256 of the canonical content.
    pub content_hash: String,
    /// Ed25519 over the canonical content, base64.
    pub signature: String,
    /// Raw Ed25519 key, base64.
    pub public_key: String,
    pub kind: String,
    pub decides: String,
    /// Policy name and version that an experiment names.
    pub pins: Vec<(String, String)>,
    pub group: Option<Group>,
    pub status: VersionStatus,
    /// The version active when this one was made.
    pub predecessor: Option<String>,
    pub description: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    pub edition: i64,
}

/// A version that belongs into the bundle, with what the manifest says of its policy.
#[derive(Clone, Debug)]
pub struct Selected {
    pub name: String,
    pub format: Format,
    pub version: VersionRow,
}

/// Where a publication job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Pending,
    Done,
    /// A later number was published instead.
    Superseded,
}

impl JobState {
    /// The word in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Superseded => "superseded",
        }
    }
}

/// A publication job.
#[derive(Clone, Debug)]
pub struct JobRow {
    pub tenant: TenantId,
    pub number: u64,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub kid: String,
    pub state: JobState,
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A stored bundle without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleRow {
    pub tenant: TenantId,
    pub number: u64,
    pub revision: String,
    /// Hex SHA-256 of the archive.
    pub sha256: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    pub kid: String,
    /// Policy versions inside.
    pub policies: u32,
    /// Bytes.
    pub size: u64,
}

impl PolicyRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: policy_id(row, "id")?,
            tenant: tenant(row)?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            format: word(row, "format", Format::parse)?,
            status: word(row, "status", PolicyStatus::parse)?,
            tags: json(row, "tags")?,
            compliance_tags: json(row, "compliance_tags")?,
            created_by: row.try_get("created_by")?,
            created_at: moment(row, "created_at")?,
            updated_at: moment(row, "updated_at")?,
            edition: row.try_get("edition")?,
            version: row.try_get("shown_version")?,
        })
    }
}

impl VersionRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            policy: policy_id(row, "policy")?,
            version: row.try_get("version")?,
            content: row.try_get("content")?,
            content_hash: row.try_get("content_hash")?,
            signature: row.try_get("signature")?,
            public_key: row.try_get("public_key")?,
            kind: row.try_get("kind")?,
            decides: row.try_get("decides")?,
            pins: json(row, "pins")?,
            group: group(row)?,
            status: word(row, "status", version_status)?,
            predecessor: row.try_get("predecessor")?,
            description: row.try_get("description")?,
            created_by: row.try_get("created_by")?,
            created_at: moment(row, "created_at")?,
            changed_at: moment(row, "changed_at")?,
            edition: row.try_get("edition")?,
        })
    }
}

impl Selected {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.try_get("policy_name")?,
            format: word(row, "policy_format", Format::parse)?,
            version: VersionRow::read(row)?,
        })
    }
}

impl JobRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: tenant(row)?,
            number: number(row, "number")?,
            issued_at: moment(row, "issued_at")?,
            expires_at: moment(row, "expires_at")?,
            kid: row.try_get("kid")?,
            state: word(row, "state", job_state)?,
            attempts: row.try_get("attempts")?,
            error: row.try_get("error")?,
        })
    }
}

impl BundleRow {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: tenant(row)?,
            number: number(row, "number")?,
            revision: row.try_get("revision")?,
            sha256: row.try_get("sha256")?,
            issued_at: moment(row, "issued_at")?,
            expires_at: moment(row, "expires_at")?,
            kid: row.try_get("kid")?,
            policies: row.try_get("policies")?,
            size: number(row, "size")?,
        })
    }
}

/// As the database keeps a moment.
pub(super) fn nanos(moment: Timestamp) -> i64 {
    i64::try_from(moment.unix_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn moment(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    let nanos: i64 = row.try_get(column)?;
    Ok(Timestamp::from_unix_nanos(i128::from(nanos)))
}

pub(super) fn number(row: &SqliteRow, column: &'static str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| StoreError::unreadable(column, number.to_string()))
}

pub(super) fn tenant(row: &SqliteRow) -> Result<TenantId, StoreError> {
    let text: String = row.try_get("tenant")?;
    text.parse()
        .map_err(|_| StoreError::unreadable("tenant", text))
}

fn policy_id(row: &SqliteRow, column: &'static str) -> Result<PolicyId, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse()
        .map_err(|_| StoreError::unreadable(column, text))
}

fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    parse(&text).ok_or_else(|| StoreError::unreadable(column, text))
}

fn json<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::unreadable(column, text))
}

fn group(row: &SqliteRow) -> Result<Option<Group>, StoreError> {
    let text: Option<String> = row.try_get("ab_group")?;
    match text.as_deref() {
        None => Ok(None),
        Some("A") => Ok(Some(Group::A)),
        Some("B") => Ok(Some(Group::B)),
        Some(other) => Err(StoreError::unreadable("ab_group", other)),
    }
}

fn version_status(word: &str) -> Option<VersionStatus> {
    match word {
        "draft" => Some(VersionStatus::Draft),
        "testing" => Some(VersionStatus::Testing),
        "active" => Some(VersionStatus::Active),
        "retired" => Some(VersionStatus::Retired),
        _ => None,
    }
}

fn job_state(word: &str) -> Option<JobState> {
    match word {
        "pending" => Some(JobState::Pending),
        "done" => Some(JobState::Done),
        "superseded" => Some(JobState::Superseded),
        _ => None,
    }
}
