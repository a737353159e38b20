//! What authors write and what they are told.

mod access;
mod checks;
mod content;
mod decode;
mod experiment;
mod files;
mod schema;

use super::{Document, Format, parse};

const EXAMPLES: &str = include_str!("tests/examples.yaml");

fn yaml(text: &str) -> Vec<Document> {
    parse("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap()
}

/// Everything reported about `text`, one line each.
fn report(text: &str) -> Vec<String> {
    let errors = parse("p.yaml", text.as_bytes(), Format::Yaml, "t").unwrap_err();
    errors.0.iter().map(ToString::to_string).collect()
}

/// The only thing reported about a document of `kind` with this rest.
#[track_caller]
fn single(kind: &str, spec: &str) -> String {
    let text =
        format!("apiVersion: lictor.dev/v1\nkind: {kind}\nmetadata: {{name: n}}\nspec: {spec}\n");
    let report = report(&text);
    assert_eq!(report.len(), 1, "{report:#?}");
    report[0].clone()
}
