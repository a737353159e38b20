//! What a version's content is, and whether it holds: the same code the sidecar runs checks it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::control_plane::store::{Format, Selected};
use crate::engine::{Compiler, DataBuilder, Limits, Program};
use crate::model::{Group, PolicyId, TenantId, Timestamp, VersionStatus};
use crate::policy::{self, Body, Decides, Document, Metadata, Place, RegoModules, canonical};

use super::{Fault, RegistryError};

/// Content as it comes in, with what the registry holds of its policy and version.
#[derive(Clone, Debug)]
pub struct Draft {
    pub tenant: TenantId,
    pub name: String,
    /// None where the policy is made with this content: then the content may choose.
    pub id: Option<PolicyId>,
    /// None where nobody chose: then the content may.
    pub version: Option<semver::Version>,
    pub group: Option<Group>,
    pub format: Format,
    /// JSON text.
    pub content: String,
}

/// Content that holds, alone.
#[derive(Clone, Debug)]
pub struct Checked {
    pub content: String,
    pub canonical: String,
    pub content_hash: String,
    pub kind: &'static str,
    pub decides: &'static str,
    pub pins: Vec<(String, String)>,
    /// The policy's id: as the draft says, else as the content says, else derived.
    pub id: PolicyId,
    /// As the draft or the content says.
    pub version: Option<semver::Version>,
}

/// Checks content: its shape, what its `metadata` says against what the registry holds, and that it
/// compiles and passes its own tests.
///
/// # Errors
///
/// Everything wrong with it.
pub fn check(draft: &Draft, now: Timestamp) -> Result<Checked, RegistryError> {
    let value: Value = serde_json::from_str(&draft.content)
        .map_err(|error| RegistryError::shape("/content", format!("no JSON: {error}")))?;
    if !value.is_object() {
        return Err(RegistryError::shape("/content", "must be a JSON object"));
    }
    let canonical = canonical::canonical(draft.content.as_bytes())
        .map_err(|error| RegistryError::shape("/content", error.to_string()))?;
    let content_hash = canonical::content_hash(draft.content.as_bytes())
        .map_err(|error| RegistryError::shape("/content", error.to_string()))?;
    let mut document = read(
        &draft.tenant,
        &draft.name,
        draft.format,
        &draft.content,
        &value,
    )
    .map_err(RegistryError::Policy)?;
    let is_ours = !matches!(document.body, Body::Opaque | Body::Rego(_));
    let (id, version) = if is_ours {
        agree(draft, &document, &value).map_err(RegistryError::Policy)?
    } else {
        (
            draft.id.unwrap_or(document.metadata.id),
            draft.version.clone(),
        )
    };
    let checked = Checked {
        kind: document.body.kind(),
        decides: decides(document.body.decides()),
        pins: pins(&document.body),
        content: draft.content.clone(),
        canonical,
        content_hash,
        id,
        version,
    };
    if let Body::Experiment(experiment) = &mut document.body {
        // The policies it names may not be active yet: activation looks at them together.
        experiment.policies.clear();
    }
    if is_ours {
        document.metadata.status = VersionStatus::Active;
        compile([(document, Arc::from(checked.content_hash.as_str()))], now)
            .map_err(RegistryError::Policy)?;
    }
    Ok(checked)
}

/// Compiles what a bundle would hold and runs its tests, as every sidecar will.
///
/// # Errors
///
/// Everything wrong with the whole of it, each with the policy it is about.
pub fn check_together(
    tenant: &TenantId,
    selected: &[Selected],
    now: Timestamp,
) -> Result<(), RegistryError> {
    let mut documents = Vec::with_capacity(selected.len());
    let mut faults = Vec::new();
    for one in selected {
        match stored(tenant, one) {
            Ok(document) => {
                documents.push((document, Arc::from(one.version.content_hash.as_str())));
            }
            Err(wrong) => faults.extend(wrong),
        }
    }
    if !faults.is_empty() {
        return Err(RegistryError::Policy(faults));
    }
    compile(documents, now)
        .map(|_| ())
        .map_err(RegistryError::Policy)
}

/// Compiles one stored version alone.
///
/// # Errors
///
/// Everything wrong with it.
pub fn compile_alone(
    tenant: &TenantId,
    one: &Selected,
    now: Timestamp,
) -> Result<Program, RegistryError> {
    let mut document = stored(tenant, one).map_err(RegistryError::Policy)?;
    document.metadata.group = None;
    compile(
        [(document, Arc::from(one.version.content_hash.as_str()))],
        now,
    )
    .map_err(RegistryError::Policy)
}

/// The document of a stored version, with the registry's word on what it is.
fn stored(tenant: &TenantId, one: &Selected) -> Result<Document, Vec<Fault>> {
    let place = format!("{} {}", one.name, one.version.version);
    let value: Value = serde_json::from_str(&one.version.content)
        .map_err(|error| vec![Fault::new(&place, error.to_string())])?;
    let mut document = read(tenant, &place, one.format, &one.version.content, &value)?;
    let written = value.pointer("/metadata/name").and_then(Value::as_str);
    if !matches!(document.body, Body::Opaque | Body::Rego(_))
        && let Some(written) = written.filter(|written| *written != one.name)
    {
        // A sidecar would refuse the bundle: the manifest and the document disagree.
        let text = format!("carries the name `{written}`, and its policy another one");
        return Err(vec![Fault::new(&place, text)]);
    }
    document.metadata = Metadata {
        name: one.name.as_str().into(),
        id: one.version.policy,
        version: one
            .version
            .version
            .parse()
            .map_err(|_| vec![Fault::new(&place, "no semantic version")])?,
        status: one.version.status,
        group: one.version.group,
        labels: document.metadata.labels,
        created_at: one.version.created_at,
        changed_at: one.version.changed_at,
    };
    Ok(document)
}

fn compile(
    documents: impl IntoIterator<Item = (Document, Arc<str>)>,
    now: Timestamp,
) -> Result<Program, Vec<Fault>> {
    let mut compiler = Compiler::default();
    for (document, content_hash) in documents {
        compiler.add(document, content_hash);
    }
    let program = compiler.compile(DataBuilder::default()).map_err(|errors| {
        errors
            .errors
            .into_iter()
            .map(|error| Fault::new(at(&error.place), error.message))
            .collect::<Vec<_>>()
    })?;
    program
        .self_test(now, Limits::default())
        .map_err(|failures| {
            failures
                .into_iter()
                .map(|failure| {
                    Fault::new(format!("{}: tests", failure.policy), failure.to_string())
                })
                .collect::<Vec<_>>()
        })?;
    Ok(program)
}

/// Reads content as the document it is. `file` stands in places.
fn read(
    tenant: &TenantId,
    file: &str,
    format: Format,
    content: &str,
    value: &Value,
) -> Result<Document, Vec<Fault>> {
    let looks_ours = ["apiVersion", "kind", "spec"]
        .iter()
        .any(|member| value.get(member).is_some());
    match format {
        Format::Rego => rego(value).map(|body| plain(tenant, file, content, body)),
        Format::Json | Format::Yaml if looks_ours => {
            let documents = policy::parse(
                file,
                content.as_bytes(),
                policy::Format::Json,
                tenant.as_str(),
            )
            .map_err(|errors| {
                errors
                    .0
                    .into_iter()
                    .map(|error| Fault::new(at(&error.place), error.message))
                    .collect::<Vec<_>>()
            })?;
            let mut documents = documents.into_iter();
            match (documents.next(), documents.next()) {
                (Some(document), None) => Ok(document),
                _ => Err(vec![Fault::new(file, "must be one document")]),
            }
        }
        Format::Json | Format::Yaml | Format::Opaque => {
            Ok(plain(tenant, file, content, Body::Opaque))
        }
    }
}

/// A document that says nothing of itself.
fn plain(tenant: &TenantId, name: &str, content: &str, body: Body) -> Document {
    Document {
        metadata: Metadata {
            name: name.into(),
            id: PolicyId::derived(tenant.as_str(), body.kind(), name),
            version: semver::Version::new(1, 0, 0),
            status: VersionStatus::Draft,
            group: None,
            labels: std::collections::BTreeMap::new(),
            created_at: Timestamp::default(),
            changed_at: Timestamp::default(),
        },
        body,
        tests: Vec::new(),
        json: content.into(),
        place: Place {
            file: name.into(),
            line: 1,
            column: 1,
            path: "".into(),
        },
    }
}

fn rego(value: &Value) -> Result<Body, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut modules = std::collections::BTreeMap::new();
    for (name, member) in value.as_object().into_iter().flatten() {
        match (name.as_str(), member) {
            ("modules", Value::Object(members)) => {
                for (path, text) in members {
                    match text.as_str() {
                        Some(text) if Path::new(path).extension() == Some(OsStr::new("rego")) => {
                            modules.insert(path.clone(), text.to_owned());
                        }
                        _ => faults.push(Fault::new(
                            format!("/content/modules/{path}"),
                            "must be the text of a module whose path ends in `.rego`",
                        )),
                    }
                }
            }
            ("data", Value::Object(_)) => {}
            ("modules" | "data", _) => {
                faults.push(Fault::new(format!("/content/{name}"), "must be an object"));
            }
            _ => faults.push(Fault::new(
                format!("/content/{name}"),
                "unknown: expected `modules` and `data`",
            )),
        }
    }
    if modules.is_empty() && faults.is_empty() {
        faults.push(Fault::new("/content/modules", "must hold a module"));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let data = value.get("data").map(|data| Arc::from(data.to_string()));
    Ok(Body::Rego(RegoModules { modules, data }))
}

/// Holds what the document says of itself against what the registry says.
fn agree(
    draft: &Draft,
    document: &Document,
    value: &Value,
) -> Result<(PolicyId, Option<semver::Version>), Vec<Fault>> {
    let written = |member: &str| value.pointer("/metadata").and_then(|all| all.get(member));
    let metadata = &document.metadata;
    let mut faults = Vec::new();
    let mut differ = |member: &str, ours: &dyn std::fmt::Display| {
        faults.push(Fault::new(
            format!("/content/metadata/{member}"),
            format!("says otherwise than the registry, which holds `{ours}`"),
        ));
    };
    if *metadata.name != *draft.name {
        differ("name", &draft.name);
    }
    if let Some(id) = draft.id
        && written("id").is_some()
        && metadata.id != id
    {
        differ("id", &id);
    }
    if let Some(version) = &draft.version
        && written("version").is_some()
        && metadata.version != *version
    {
        differ("version", version);
    }
    if written("abTestGroup").is_some() && metadata.group != draft.group {
        differ("abTestGroup", &draft.group.map_or("none", Group::as_str));
    }
    if written("status").is_some() {
        differ("status", &VersionStatus::Draft.as_str());
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let version = draft
        .version
        .clone()
        .or_else(|| written("version").map(|_| metadata.version.clone()));
    Ok((draft.id.unwrap_or(metadata.id), version))
}

/// What an experiment names, so that its versions come along into the bundle.
fn pins(body: &Body) -> Vec<(String, String)> {
    let Body::Experiment(experiment) = body else {
        return Vec::new();
    };
    experiment
        .policies
        .iter()
        .flat_map(|(policy, versions)| {
            versions
                .values()
                .map(|version| (policy.clone(), version.to_string()))
        })
        .collect()
}

const fn decides(decides: Decides) -> &'static str {
    match decides {
        Decides::Validation => "validation",
        Decides::Access => "access",
        Decides::Experiment => "experiment",
        Decides::Rego => "rego",
        Decides::Nothing => "nothing",
    }
}

/// A place as people read it.
fn at(place: &Place) -> String {
    if place.path.is_empty() {
        place.to_string()
    } else {
        format!("{place}: {}", place.path)
    }
}
