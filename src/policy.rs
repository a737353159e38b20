//! What authors write: documents in YAML or JSON, parsed and checked into typed policies.
//!
//! Every error names file, line, column and field path, and all errors of a file are reported at
//! once. Nothing here evaluates: expressions stay text with a place until `engine` compiles them.
//! The language is described in the README and in the JSON Schema that [`schema`] prints.

pub mod canonical;
mod check;
mod cursor;
mod decode;
mod document;
mod error;
mod json;
mod node;
mod schema;
mod shape;
mod suggest;
mod syntax;
mod yaml;

#[cfg(test)]
mod tests;

use self::cursor::Errors;
use self::decode::Setting;
use self::node::{Node, Position};

pub use document::{
    AccessControl, AccessPolicy, AccessRule, AccessSpec, Body, Compliance, DataResidency, Decides,
    DecisionTest, Document, Effect, Expectation, Experiment, ExperimentHash, HttpRule, Metadata,
    Named, OnAllow, OnDeny, Pricing, Question, RateLimiting, RegoModules, Rule, Security,
    ServicePolicy, ServicePolicyType, Text, ValidationPolicy, ValidationRule, Variant,
};
pub use error::{Place, PolicyError, PolicyErrors};
pub use schema::schema;

/// Bytes that a file of policies may have.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// How the bytes of a file are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

/// Parses a file that may hold several documents (YAML, separated by `---`). `file` is used in
/// places, and its stem is the name of opaque content. `tenant` is what ids are derived from where
/// `metadata.id` is absent.
///
/// # Errors
///
/// All errors of the file, in the order of their places.
pub fn parse(
    file: &str,
    text: &[u8],
    format: Format,
    tenant: &str,
) -> Result<Vec<Document>, PolicyErrors> {
    let setting = Setting {
        tenant,
        opaque: false,
    };
    read_documents(file, text, format, setting)
}

/// Parses a file whose content is opaque by its declared format, whatever it looks like: it is
/// checked to be one JSON object and decides nothing.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_opaque(
    file: &str,
    text: &[u8],
    format: Format,
    tenant: &str,
) -> Result<Vec<Document>, PolicyErrors> {
    let setting = Setting {
        tenant,
        opaque: true,
    };
    read_documents(file, text, format, setting)
}

/// The JSON text of a file that is no policy: a keyring, a data document. In YAML it is one document.
///
/// # Errors
///
/// What keeps it from being read, with its place; a member that is there twice.
pub fn to_json(file: &str, text: &[u8], format: Format) -> Result<String, PolicyErrors> {
    let mut errors = Errors::new(file);
    let Some(text) = readable(text, &mut errors) else {
        return Err(PolicyErrors(errors.list));
    };
    let (nodes, error) = match format {
        Format::Json => match json::read(text) {
            Ok(node) => (vec![node], None),
            Err(error) => (Vec::new(), Some(error)),
        },
        Format::Yaml => yaml::read(text),
    };
    if let Some(error) = error {
        errors.push_at(error.position, error.message);
    } else if let [node] = nodes.as_slice() {
        check::check_free(&cursor::Cursor::root(node), &mut errors);
        if errors.list.is_empty() {
            return Ok(node.to_json());
        }
    } else {
        let start = Position { line: 1, column: 1 };
        errors.push_at(start, format!("{} documents, expected one", nodes.len()));
    }
    Err(PolicyErrors(errors.list))
}

fn read_documents(
    file: &str,
    text: &[u8],
    format: Format,
    setting: Setting<'_>,
) -> Result<Vec<Document>, PolicyErrors> {
    let mut errors = Errors::new(file);
    let Some(text) = readable(text, &mut errors) else {
        return Err(PolicyErrors(errors.list));
    };
    let mut documents = Vec::new();
    match format {
        Format::Json => match json::read(text) {
            Ok(node) => {
                let own = text.trim().into();
                documents.extend(decode::document(&node, own, setting, &mut errors));
            }
            Err(error) => errors.push_at(error.position, error.message),
        },
        Format::Yaml => {
            let (nodes, error) = yaml::read(text);
            for node in &nodes {
                let converted = node.to_json().into();
                documents.extend(decode::document(node, converted, setting, &mut errors));
            }
            if let Some(error) = error {
                errors.push_at(error.position, error.message);
            }
            check_unnamed(&nodes, &documents, &mut errors);
        }
    }
    if errors.list.is_empty() {
        return Ok(documents);
    }
    errors
        .list
        .sort_by(|left, right| left.place.cmp(&right.place));
    errors.list.dedup();
    Err(PolicyErrors(errors.list))
}

/// The file as text, if it can be read at all.
fn readable<'t>(text: &'t [u8], errors: &mut Errors) -> Option<&'t str> {
    let start = Position { line: 1, column: 1 };
    if text.len() > MAX_FILE_BYTES {
        errors.push_at(
            start,
            format!(
                "the file has {} bytes, more than {MAX_FILE_BYTES}",
                text.len()
            ),
        );
        return None;
    }
    match std::str::from_utf8(text) {
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.split(|byte| *byte == b'\n').count();
            let position = Position {
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: 1,
            };
            errors.push_at(position, "the file is not UTF-8 text");
            None
        }
    }
}

/// Content without a name takes that of its file, so only one such may be in it.
fn check_unnamed(nodes: &[Node<'_>], documents: &[Document], errors: &mut Errors) {
    let unnamed = |document: &&Document| matches!(document.body, Body::Opaque);
    if nodes.len() > 1
        && let Some(second) = documents.iter().filter(unnamed).nth(1)
    {
        let position = Position {
            line: second.place.line,
            column: second.place.column,
        };
        errors.push_at(
            position,
            "content that is not Lictor's is named after its file: one per file",
        );
    }
}
