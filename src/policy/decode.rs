//! From checked trees to typed documents. Decoding goes on after errors, so that what fields say about
//! each other is reported together with what is wrong with each; nothing of a wrong file leaves [`parse`](super::parse).

mod access;
mod experiment;
mod rego;
mod service;
mod tests;
mod validation;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Group, PolicyId, Severity, Timestamp, VersionStatus};

use super::check::{check_free, check_object};
use super::cursor::{Cursor, Errors};
use super::document::{Body, DecisionTest, Document, Metadata};
use super::node::{Node, Value};
use super::shape::{KINDS, REGO, Shape};
use super::suggest::suggestion;
use super::syntax::Syntax;

/// What may be read into a document, and under which names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'s> {
    /// What ids are derived from.
    pub tenant: &'s str,
    /// Whether everything is opaque content, also what looks like a document of ours.
    pub opaque: bool,
}

/// Decodes one document; `json` is its text.
pub(super) fn document(
    node: &Node<'_>,
    json: Arc<str>,
    setting: Setting<'_>,
    errors: &mut Errors,
) -> Option<Document> {
    let root = Cursor::root(node);
    if !matches!(node.value, Value::Object(_)) {
        let found = node.describe();
        errors.push(&root, format!("a policy is an object, not {found}"));
        return None;
    }
    let (body, tests) = if setting.opaque {
        check_free(&root, errors);
        (Body::Opaque, Vec::new())
    } else if claims_to_be_ours(&root) {
        ours(&root, errors)?
    } else if rego::is_rego(&root) {
        check_object(&root, &REGO, errors);
        (rego::decode(&root), Vec::new())
    } else {
        check_free(&root, errors);
        (Body::Opaque, Vec::new())
    };
    let named = !matches!(body, Body::Opaque) && root.has("metadata");
    let name = if named {
        root.at("metadata").at("name").text().to_owned()
    } else {
        name_of_file(&root, errors)
    };
    Some(Document {
        metadata: metadata(&root, &name, named, body.kind(), setting.tenant),
        body,
        tests,
        json,
        place: root.place(&errors.file),
    })
}

/// Whether this has a member that only documents of ours have, in whatever spelling.
fn claims_to_be_ours(root: &Cursor<'_>) -> bool {
    let mut names = root.node().members().iter().map(|member| &member.name);
    names.any(|name| {
        let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).collect();
        ["apiVersion", "kind", "spec"]
            .iter()
            .any(|ours| plain.eq_ignore_ascii_case(ours))
    })
}

fn ours(root: &Cursor<'_>, errors: &mut Errors) -> Option<(Body, Vec<DecisionTest>)> {
    let written = root.at("kind");
    let Some(shape) = KINDS.iter().find(|shape| shape.name == written.text()) else {
        unknown_kind(root, errors);
        return None;
    };
    check_object(root, shape, errors);
    Some(decode_body(shape, root, errors))
}

fn decode_body(shape: &Shape, root: &Cursor<'_>, errors: &mut Errors) -> (Body, Vec<DecisionTest>) {
    match shape.name {
        "ValidationPolicy" => (
            Body::Validation(validation::decode(root, errors)),
            tests::decode(root, errors, tests::validation),
        ),
        "ServicePolicy" => {
            let service = service::decode(root, errors);
            let question = tests::service(service.kind);
            let tests = tests::decode(root, errors, question);
            (Body::Service(service), tests)
        }
        "AccessPolicy" => (
            Body::Access(access::decode(root, errors)),
            tests::decode(root, errors, tests::access),
        ),
        _ => (
            Body::Experiment(experiment::decode(root, errors)),
            tests::decode(root, errors, tests::experiment),
        ),
    }
}

fn unknown_kind(root: &Cursor<'_>, errors: &mut Errors) {
    let known = || KINDS.iter().map(|shape| shape.name);
    let list = known()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let opaque = "content that is not Lictor's needs the format `opaque`";
    for (name, value) in root.entries() {
        let hint = suggestion(
            name,
            ["apiVersion", "kind", "spec", "metadata", "tests"].into_iter(),
        );
        if !hint.is_empty()
            && !matches!(name, "apiVersion" | "kind" | "spec" | "metadata" | "tests")
        {
            errors.push(&value, format!("unknown field `{name}`{hint}"));
        }
    }
    if let Some(kind) = root.at("kind").optional_text() {
        let hint = suggestion(kind, known());
        errors.push(
            &root.at("kind"),
            format!("`{kind}` is no kind of policy{hint}; known are {list}; {opaque}"),
        );
    } else {
        errors.push(
            root,
            format!("the field `kind` is missing: expected one of {list}; {opaque}"),
        );
    }
}

/// Opaque content and Rego modules without `metadata` are named after their file.
fn name_of_file(root: &Cursor<'_>, errors: &mut Errors) -> String {
    let base = errors.file.rsplit('/').next().unwrap_or_default();
    let stem = base
        .rsplit_once('.')
        .map_or(base, |(stem, _)| stem)
        .to_owned();
    if let Err(message) = Syntax::Name.check(&stem) {
        errors.push(
            root,
            format!("the document is named after its file, but {message}"),
        );
    }
    stem
}

fn metadata(root: &Cursor<'_>, name: &str, named: bool, kind: &str, tenant: &str) -> Metadata {
    let nothing = Node {
        position: root.node().position,
        value: Value::Null,
    };
    let written = root.at("metadata");
    let absent = Cursor::root(&nothing);
    let fields = if named { &written } else { &absent };
    Metadata {
        name: name.into(),
        id: fields
            .at("id")
            .text()
            .parse()
            .unwrap_or_else(|_| PolicyId::derived(tenant, kind, name)),
        version: version(&fields.at("version")),
        status: match fields.at("status").text() {
            "testing" => VersionStatus::Testing,
            "retired" => VersionStatus::Retired,
            _ => VersionStatus::Active,
        },
        group: match fields.at("abTestGroup").text() {
            "A" => Some(Group::A),
            "B" => Some(Group::B),
            _ => None,
        },
        labels: string_map(&fields.at("labels")),
        created_at: Timestamp::default(),
        changed_at: Timestamp::default(),
    }
}

/// The version here; 1.0.0 where there is none.
fn version(cursor: &Cursor<'_>) -> semver::Version {
    semver::Version::parse(cursor.text()).unwrap_or_else(|_| semver::Version::new(1, 0, 0))
}

fn string_map(cursor: &Cursor<'_>) -> BTreeMap<String, String> {
    cursor
        .entries()
        .map(|(name, value)| (name.to_owned(), value.text().to_owned()))
        .collect()
}

fn severity(cursor: &Cursor<'_>) -> Severity {
    match cursor.text() {
        "high" => Severity::High,
        "medium" => Severity::Medium,
        "low" => Severity::Low,
        _ => Severity::Critical,
    }
}

/// Reports every item of `list` whose `field` (or the default that `name` makes) another one has.
fn check_unique(
    list: &Cursor<'_>,
    field: &str,
    name: impl Fn(&Cursor<'_>, usize) -> String,
    errors: &mut Errors,
) {
    let mut seen = HashSet::new();
    for (index, item) in list.items().enumerate() {
        let name = name(&item, index);
        if !name.is_empty() && !seen.insert(name.clone()) {
            let place = if item.has(field) {
                item.at(field)
            } else {
                item
            };
            errors.push(&place, format!("`{name}` is there twice"));
        }
    }
}
