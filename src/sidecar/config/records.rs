//! What is recorded: decisions and the log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::server::settings::units::duration;

/// Records of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecisionLogConfig {
    /// The file that records are appended to, one JSON object a line; `-` = standard output; None = no records.
    pub file: Option<String>,
    /// How much of a decision its record shows.
    pub content: RecordContent,
    /// Records that wait to be written, per serving thread; more are dropped and counted.
    pub buffer_bytes: usize,
    /// More events a second are not logged; 0 = all.
    pub max_per_second: u64,
    /// Path below `data` of the policy that masks events.
    pub mask_decision: String,
    /// Path below `data` of the policy that drops events.
    pub drop_decision: String,
    pub upload: UploadConfig,
}

/// The log service that events are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadConfig {
    /// None = nothing is sent.
    pub url: Option<String>,
    pub token_file: Option<String>,
    pub ca_file: Option<String>,
    /// Between two uploads, at random in between.
    #[serde(with = "duration")]
    pub min_delay: Duration,
    #[serde(with = "duration")]
    pub max_delay: Duration,
    /// Of one upload, compressed.
    pub upload_bytes: usize,
    /// Events that wait in memory.
    pub memory_bytes: usize,
    /// Where they wait beyond that and over a restart; None = nowhere.
    pub disk_dir: Option<String>,
    pub disk_bytes: usize,
}

/// How much of a decision its record shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordContent {
    /// The input's SHA-256 alone.
    #[default]
    Digest,
    /// Input and result as they are.
    Full,
}

/// The log on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub level: String,
    /// `json` or `pretty`.
    pub format: String,
}

impl Default for UploadConfig {
    fn default() -> Self {
        Self {
            url: None,
            token_file: None,
            ca_file: None,
            min_delay: Duration::from_secs(5),
            max_delay: Duration::from_secs(10),
            upload_bytes: 32 * 1024,
            memory_bytes: 16 * 1024 * 1024,
            disk_dir: None,
            disk_bytes: 256 * 1024 * 1024,
        }
    }
}

impl Default for DecisionLogConfig {
    fn default() -> Self {
        Self {
            file: None,
            content: RecordContent::default(),
            buffer_bytes: 4 * 1024 * 1024,
            max_per_second: 0,
            mask_decision: "/system/log/mask".to_owned(),
            drop_decision: "/system/log/drop".to_owned(),
            upload: UploadConfig::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: "json".to_owned(),
        }
    }
}
