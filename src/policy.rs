//! What authors write: documents in YAML or JSON, parsed and checked into typed policies.
//!
//! Every error names file, line, column and field path, and all errors of a file are reported at
//! once. Nothing here evaluates: expressions stay text with a place until `engine` compiles them.
//! The language is described in the README and in the JSON Schema that [`schema`] prints.

pub mod canonical;
mod document;
mod error;

pub use document::{
    AccessControl, AccessPolicy, AccessRule, AccessSpec, Body, Compliance, DataResidency, Decides,
    DecisionTest, Document, Effect, Expectation, Experiment, ExperimentHash, HttpRule, Metadata,
    Named, OnAllow, OnDeny, Pricing, Question, RateLimiting, RegoModules, Rule, Security,
    ServicePolicy, ServicePolicyType, Text, ValidationPolicy, ValidationRule, Variant,
};
pub use error::{Place, PolicyError, PolicyErrors};

/// How the bytes of a file are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

/// Parses a file that may hold several documents (YAML, separated by `---`). `file` is only used
/// in places. `tenant` is what ids are derived from where `metadata.id` is absent.
///
/// # Errors
///
/// All errors of the file, in the order of their places.
pub fn parse(
    _file: &str,
    _text: &[u8],
    _format: Format,
    _tenant: &str,
) -> Result<Vec<Document>, PolicyErrors> {
    todo!()
}

/// JSON Schema (draft 2020-12) of everything [`parse`] accepts as one of ours.
#[must_use]
pub fn schema() -> serde_json::Value {
    todo!()
}
