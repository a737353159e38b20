//! The two forms of a write, query and JSON body, read into one command.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::control_plane::registry::{Command, KeyPair, NewPolicy, NewVersion};
use crate::control_plane::store::Format;
use crate::model::Group;

use super::incoming::Incoming;
use super::refusal::Refusal;

#[derive(Debug, Deserialize)]
struct PolicyQuery {
    name: Option<String>,
    format: Option<String>,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    name: Option<String>,
    content: Option<Box<RawValue>>,
    /// The generic clients' way to say `content: {rules: ..}`.
    rules: Option<Box<RawValue>>,
    format: Option<String>,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default, alias = "complianceTags")]
    compliance_tags: Vec<String>,
    #[serde(rename = "constitutionalHash", alias = "constitutional_hash")]
    _constitutional_hash: Option<String>,
}

/// `POST /policies`: with a query `name` the body is the content, else it holds everything.
pub fn create_policy(incoming: &Incoming) -> Result<Command, Refusal> {
    let query: PolicyQuery = incoming.query()?;
    let new = if let Some(name) = query.name {
        let content = match incoming.json()? {
            _ if incoming.body.is_empty() => None,
            text => Some(object("/", text)?),
        };
        NewPolicy {
            name,
            id: None,
            description: query.description,
            format: format(query.format.as_deref())?,
            tags: Vec::new(),
            compliance_tags: Vec::new(),
            content,
            version: None,
            activate: false,
        }
    } else {
        let body: PolicyBody = incoming.body()?;
        NewPolicy {
            name: body
                .name
                .ok_or_else(|| Refusal::shape("/name", "is missing"))?,
            id: None,
            description: body.description,
            format: format(body.format.as_deref())?,
            tags: body.tags,
            compliance_tags: body.compliance_tags,
            content: content(body.content.as_deref(), body.rules.as_deref())?,
            version: None,
            activate: false,
        }
    };
    Ok(Command::CreatePolicy(new))
}

#[derive(Debug, Deserialize)]
struct VersionQuery {
    version: Option<String>,
    ab_test_group: Option<String>,
    private_key_b64: Option<String>,
    public_key_b64: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionBody {
    content: Option<Box<RawValue>>,
    rules: Option<Box<RawValue>>,
    version: Option<String>,
    #[serde(alias = "abTestGroup")]
    ab_test_group: Option<String>,
    description: Option<String>,
    private_key_b64: Option<String>,
    public_key_b64: Option<String>,
    #[serde(rename = "constitutionalHash", alias = "constitutional_hash")]
    _constitutional_hash: Option<String>,
}

/// `POST /policies/{id}/versions`: with a query `version` the body is the content, else it holds
/// everything.
pub fn create_version(policy: String, incoming: &Incoming) -> Result<Command, Refusal> {
    let query: VersionQuery = incoming.query()?;
    let new = if query.version.is_some() {
        NewVersion {
            version: version(query.version.as_deref())?,
            group: group(query.ab_test_group.as_deref())?,
            description: None,
            content: object("/", incoming.json()?)?,
            keys: keys(query.private_key_b64, query.public_key_b64)?,
        }
    } else {
        let body: VersionBody = incoming.body()?;
        NewVersion {
            version: version(body.version.as_deref())?,
            group: group(body.ab_test_group.or(query.ab_test_group).as_deref())?,
            description: body.description,
            content: content(body.content.as_deref(), body.rules.as_deref())?.ok_or_else(|| {
                Refusal::shape(
                    "/content",
                    "is missing: send `{\"content\": ..}`, or the content alone with `?version=`",
                )
            })?,
            keys: keys(
                body.private_key_b64.or(query.private_key_b64),
                body.public_key_b64.or(query.public_key_b64),
            )?,
        }
    };
    Ok(Command::CreateVersion {
        policy,
        version: new,
    })
}

#[derive(Debug, Deserialize)]
struct Chosen {
    version: Option<String>,
}

/// `PUT /policies/{id}/activate`: the version in the query or in the body, or none.
pub fn activate(policy: String, incoming: &Incoming) -> Result<Command, Refusal> {
    let query: Chosen = incoming.query()?;
    let body: Chosen = incoming.body()?;
    if let (Some(query), Some(body)) = (&query.version, &body.version)
        && query != body
    {
        return Err(Refusal::shape("/version", "differs from the query's"));
    }
    Ok(Command::Activate {
        policy,
        version: query.version.or(body.version),
    })
}

/// `POST /policies/{id}/verify`.
#[derive(Debug)]
pub struct Verify {
    /// Check this version's signature.
    pub version: Option<String>,
    /// Evaluate the active version with this; JSON text.
    pub input: Option<String>,
}

#[derive(Debug, Deserialize)]
struct VerifyBody {
    version: Option<String>,
    input: Option<Box<RawValue>>,
}

/// What is to be verified: a signature, a decision, or both.
pub fn verify(incoming: &Incoming) -> Result<Verify, Refusal> {
    let query: Chosen = incoming.query()?;
    let body: VerifyBody = incoming.body()?;
    let version = query.version.or(body.version);
    if version.is_none() && body.input.is_none() {
        return Err(Refusal::shape(
            "/version",
            "is missing: say which signature to verify, or send an `input` to evaluate",
        ));
    }
    let input = body
        .input
        .map(|input| object("/input", input.get()))
        .transpose()?;
    Ok(Verify { version, input })
}

fn content(
    content: Option<&RawValue>,
    rules: Option<&RawValue>,
) -> Result<Option<String>, Refusal> {
    match (content, rules) {
        (Some(_), Some(_)) => Err(Refusal::shape(
            "/rules",
            "cannot stand beside `content`: put it inside",
        )),
        (Some(content), None) => object("/content", content.get()).map(Some),
        (None, Some(rules)) => Ok(Some(format!("{{\"rules\":{}}}", rules.get()))),
        (None, None) => Ok(None),
    }
}

/// JSON text that is an object.
fn object(pointer: &str, text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(value) if value.is_object() => Ok(text.to_owned()),
        Ok(_) => Err(Refusal::shape(pointer, "must be a JSON object")),
        Err(error) => Err(Refusal::shape(pointer, format!("is no JSON: {error}"))),
    }
}

fn format(word: Option<&str>) -> Result<Format, Refusal> {
    let Some(word) = word else {
        return Ok(Format::Json);
    };
    Format::parse(word).ok_or_else(|| {
        Refusal::shape(
            "/format",
            format!("`{word}` is none of json, yaml, rego, opaque"),
        )
    })
}

/// Three numbers with dots; nothing before or behind them.
fn version(text: Option<&str>) -> Result<Option<semver::Version>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    text.parse::<semver::Version>()
        .ok()
        .filter(|version| version.pre.is_empty() && version.build.is_empty())
        .map(Some)
        .ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Refusal::shape("/version", format!("`{shown}` is no version such as 1.0.0"))
        })
}

fn group(text: Option<&str>) -> Result<Option<Group>, Refusal> {
    match text {
        None => Ok(None),
        Some("A") => Ok(Some(Group::A)),
        Some("B") => Ok(Some(Group::B)),
        Some(_) => Err(Refusal::shape("/ab_test_group", "must be A or B")),
    }
}

fn keys(private: Option<String>, public: Option<String>) -> Result<Option<KeyPair>, Refusal> {
    match (private, public) {
        (Some(private), public) => Ok(Some(KeyPair { private, public })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Refusal::shape(
            "/private_key_b64",
            "is missing beside `public_key_b64`",
        )),
    }
}
