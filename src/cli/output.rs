//! How a command answers: text for people, JSON for programs.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::policy::PolicyError;

/// What standard output carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

impl Output {
    /// Prints one of the two forms, with a line end.
    ///
    /// # Errors
    ///
    /// When standard output is closed.
    pub fn print(self, json: &Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let mut shown = match self {
            Self::Text => text(),
            Self::Json => format!("{json:#}"),
        };
        if !shown.ends_with('\n') {
            shown.push('\n');
        }
        std::io::stdout()
            .write_all(shown.as_bytes())
            .context("cannot write to standard output")
    }
}

/// An error or a warning as JSON.
pub fn finding(error: &PolicyError) -> Value {
    json!({
        "file": &*error.place.file,
        "line": error.place.line,
        "column": error.place.column,
        "path": &*error.place.path,
        "message": error.message,
    })
}

/// An error or a warning as one line; `word` says which.
pub fn finding_line(word: &str, error: &PolicyError) -> String {
    let path = &error.place.path;
    let colon = if path.is_empty() { "" } else { ": " };
    format!("{}: {word}: {path}{colon}{}\n", error.place, error.message)
}

/// A number with its noun: `1 policy`, `2 policies`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn nouns_agree_with_their_numbers() {
        let counted = [0, 1, 2].map(|number| count(number, "policy", "policies"));
        assert_eq!(counted, ["0 policies", "1 policy", "2 policies"]);
    }
}
