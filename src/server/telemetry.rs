//! Logs to standard error, metrics in a registry that belongs to one program run, request ids.

mod process;

use std::io::IsTerminal as _;

use prometheus::{Registry, TextEncoder};
use tracing_subscriber::filter::LevelFilter;

/// Content type of the metrics page.
pub const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// An error and its causes on one line.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Sends the log to standard error. The first call in a process wins.
pub fn init_log(level: &str, format: Format) {
    let level = level.parse::<LevelFilter>().unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    let _ = match format {
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init(),
        Format::Pretty => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
}

impl Format {
    /// `pretty` is pretty, all else JSON.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        if word == "pretty" {
            Self::Pretty
        } else {
            Self::Json
        }
    }
}

/// A registry with the process's own gauges.
///
/// # Errors
///
/// Never with the names that are used here; the registry's signature says so.
pub fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    registry.register(Box::new(process::Process::new()?))?;
    Ok(registry)
}

/// The metrics page.
#[must_use]
pub fn render(registry: &Registry) -> Vec<u8> {
    let mut text = String::with_capacity(16 * 1024);
    if let Err(error) = TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
        tracing::error!(%error, "metrics could not be rendered");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_the_process() {
        let page = String::from_utf8(render(&registry().unwrap())).unwrap();
        for name in [
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            let line = page
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name} is missing in\n{page}"));
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            // A process that has just started may not have used a tick of processor time.
            let least = if name.contains("cpu") { 0.0 } else { 1.0 };
            assert!(value >= least, "{line}");
        }
    }
}
