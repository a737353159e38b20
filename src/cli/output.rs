//! How a command answers: text for people, JSON for programs.

use std::io::Write as _;

use anyhow::Context as _;

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
    pub fn print(
        self,
        json: &serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
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
