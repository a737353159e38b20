//! `bundles`, `bundle`, `discovery`, `decision_logs` and `status`.

use std::fmt::Write as _;

use serde::Deserialize;

/// What starts a download or an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    #[default]
    Periodic,
    Manual,
    Immediate,
}

/// A bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Bundle {
    /// Empty = the only service.
    pub service: String,
    /// Empty = `bundles/<name>`.
    pub resource: String,
    pub polling: Polling,
    pub persist: bool,
    pub signing: Option<Signing>,
    /// Of one file; 0 = 1 GiB.
    pub size_limit_bytes: u64,
    pub trigger: Option<Trigger>,
}

/// `bundle`, the older form of one bundle.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SingleBundle {
    name: String,
    /// Absent = `bundles`.
    prefix: Option<String>,
    #[serde(flatten)]
    bundle: Bundle,
}

impl SingleBundle {
    pub(super) fn into_bundle(mut self) -> (String, Bundle) {
        if self.bundle.resource.is_empty() {
            let prefix = self.prefix.as_deref().unwrap_or("bundles");
            let path = format!("{}/{}", prefix.trim_matches('/'), self.name);
            path.trim_start_matches('/')
                .clone_into(&mut self.bundle.resource);
        }
        (self.name, self.bundle)
    }
}

/// How often to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Polling {
    /// Absent = 60.
    pub min_delay_seconds: Option<u64>,
    /// Absent = 120.
    pub max_delay_seconds: Option<u64>,
    /// Present = long polling.
    pub long_polling_timeout_seconds: Option<u64>,
}

impl Polling {
    pub(super) fn check(&self, path: &str, errors: &mut String) {
        delays(
            path,
            (self.min_delay_seconds, self.max_delay_seconds),
            errors,
        );
        if self.long_polling_timeout_seconds == Some(0) {
            let _ = writeln!(
                errors,
                "`{path}.long_polling_timeout_seconds` must be at least 1"
            );
        }
    }
}

fn delays(path: &str, delays: (Option<u64>, Option<u64>), errors: &mut String) {
    match delays {
        (Some(min), Some(max)) if max < min => {
            let _ = writeln!(
                errors,
                "`{path}`: `max_delay_seconds` must be at least `min_delay_seconds`"
            );
        }
        (Some(_), None) | (None, Some(_)) => {
            let _ = writeln!(
                errors,
                "`{path}`: give both `min_delay_seconds` and `max_delay_seconds`, or neither"
            );
        }
        _ => {}
    }
}

/// How a bundle's signature is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Signing {
    pub keyid: String,
    pub scope: String,
    /// Globs of files that need not be signed.
    pub exclude_files: Vec<String>,
    pub allow_unsigned_delta_bundles: bool,
}

/// A bundle whose data is the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Discovery {
    pub name: Option<String>,
    pub prefix: Option<String>,
    pub service: String,
    pub resource: Option<String>,
    /// Path of the document under `data`; None = all of it.
    pub decision: Option<String>,
    pub polling: Polling,
    pub signing: Option<Signing>,
    pub persist: bool,
    pub trigger: Option<Trigger>,
}

/// Where decisions are logged.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct DecisionLogs {
    /// Empty = the first service, unless they go to the console.
    pub service: String,
    pub partition_name: String,
    /// None = `/logs`.
    pub resource: Option<String>,
    pub console: bool,
    pub mask_decision: String,
    pub drop_decision: String,
    pub reporting: Reporting,
    pub request_context: RequestContext,
}

impl Default for DecisionLogs {
    fn default() -> Self {
        Self {
            service: String::new(),
            partition_name: String::new(),
            resource: None,
            console: false,
            mask_decision: "/system/log/mask".to_owned(),
            drop_decision: "/system/log/drop".to_owned(),
            reporting: Reporting::default(),
            request_context: RequestContext::default(),
        }
    }
}

/// What of the request goes into an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RequestContext {
    pub http: Headers,
}

/// Names of headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Headers {
    pub headers: Vec<String>,
}

/// How decision logs are buffered and sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Reporting {
    /// `size` or `event`.
    pub buffer_type: String,
    pub buffer_size_limit_bytes: Option<u64>,
    pub buffer_size_limit_events: Option<u64>,
    /// Of one upload, compressed.
    pub upload_size_limit_bytes: u64,
    pub min_delay_seconds: Option<u64>,
    pub max_delay_seconds: Option<u64>,
    pub max_decisions_per_second: Option<f64>,
    pub trigger: Option<Trigger>,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            buffer_type: "size".to_owned(),
            buffer_size_limit_bytes: None,
            buffer_size_limit_events: None,
            upload_size_limit_bytes: 32_768,
            min_delay_seconds: None,
            max_delay_seconds: None,
            max_decisions_per_second: None,
            trigger: None,
        }
    }
}

impl Reporting {
    pub(super) fn check(&self, errors: &mut String) {
        let path = "decision_logs.reporting";
        delays(
            path,
            (self.min_delay_seconds, self.max_delay_seconds),
            errors,
        );
        let wrong = match self.buffer_type.as_str() {
            "size" if self.buffer_size_limit_events.is_some() => {
                "`buffer_size_limit_events` needs `buffer_type: event`"
            }
            "event" if self.buffer_size_limit_bytes.is_some() => {
                "`buffer_size_limit_bytes` needs `buffer_type: size`"
            }
            "size" | "event" => {
                if self.buffer_size_limit_bytes.is_some() && self.max_decisions_per_second.is_some()
                {
                    "give `buffer_size_limit_bytes` or `max_decisions_per_second`, not both"
                } else {
                    return;
                }
            }
            _ => "`buffer_type` must be `size` or `event`",
        };
        let _ = writeln!(errors, "`{path}`: {wrong}");
    }
}

/// Where the status goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusReports {
    pub service: String,
    pub partition_name: String,
    pub console: bool,
    pub prometheus: bool,
    pub trigger: Option<Trigger>,
}
