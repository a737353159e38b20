//! What the commands print.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::policy::{Decides, Document, PolicyError};

/// Prints text on standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("cannot write to standard output")
}

/// Prints indented JSON on standard output.
pub(super) fn print_json(value: &Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// An error or a warning as JSON.
pub(super) fn finding(error: &PolicyError) -> Value {
    json!({
        "file": &*error.place.file,
        "line": error.place.line,
        "column": error.place.column,
        "path": &*error.place.path,
        "message": error.message,
    })
}

/// An error or a warning as one line.
pub(super) fn finding_line(word: &str, error: &PolicyError) -> String {
    let path = &error.place.path;
    let colon = if path.is_empty() { "" } else { ": " };
    format!("{}: {word}: {path}{colon}{}\n", error.place, error.message)
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

/// What a document decides.
pub(super) const fn decides(document: &Document) -> &'static str {
    match document.body.decides() {
        Decides::Validation => "validation",
        Decides::Access => "access",
        Decides::Experiment => "experiment",
        Decides::Rego => "rego",
        Decides::Nothing => "nothing",
    }
}
