//! The table of the sidecar's settings: what may be in the file, the variables and the schema.

mod bundles;
mod doors;
mod listeners;
mod records;

use serde_json::Value;

use crate::server::settings::{self, Key, Kind};

const fn key(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, help }
}

/// Every setting, by section.
pub const KEYS: &[Key] = &joined();

const PARTS: [&[Key]; 5] = [
    OWN,
    listeners::KEYS,
    bundles::KEYS,
    doors::KEYS,
    records::KEYS,
];

const fn count() -> usize {
    let (mut part, mut count) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
}

const fn joined() -> [Key; count()] {
    let mut keys = [OWN[0]; count()];
    let (mut part, mut next) = (0, 0);
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            keys[next] = PARTS[part][index];
            index += 1;
            next += 1;
        }
        part += 1;
    }
    keys
}

/// What concerns the program as a whole.
const OWN: &[Key] = &[
    key(
        "tenant",
        Kind::Text,
        "The one tenant that this sidecar serves.",
    ),
    key(
        "upstream.url",
        Kind::Url,
        "The control plane that writes are forwarded to.",
    ),
    key(
        "upstream.grpc_url",
        Kind::Url,
        "http(s) URL of the control plane's gRPC; null = the policy engine's API keeps no policies here.",
    ),
    key(
        "upstream.ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust instead of the platform's.",
    ),
    key(
        "upstream.timeout",
        Kind::Duration,
        "Deadline of a forwarded request.",
    ),
    key(
        "upstream.max_in_flight",
        Kind::Integer,
        "Forwarded requests at a time.",
    ),
    key(
        "upstream.breaker_failures",
        Kind::Integer,
        "Failures in a row that open the breaker.",
    ),
    key(
        "upstream.breaker_open",
        Kind::Duration,
        "How long the breaker stays open.",
    ),
    key(
        "limits.connections",
        Kind::Integer,
        "Connections at a time.",
    ),
    key(
        "limits.header_bytes",
        Kind::Size,
        "Size of a request's head.",
    ),
    key("limits.uri_bytes", Kind::Size, "Length of a request's URI."),
    key(
        "limits.body_bytes",
        Kind::Size,
        "Size of a decision's body.",
    ),
    key(
        "limits.input_depth",
        Kind::Integer,
        "Nesting of a decision's body.",
    ),
    key(
        "limits.steps",
        Kind::Integer,
        "Evaluation steps of a decision; for Rego, instructions of its register machine.",
    ),
    key(
        "limits.rego_time",
        Kind::Duration,
        "How long a Rego evaluation may take.",
    ),
    key(
        "limits.rego_result_bytes",
        Kind::Size,
        "Size of what a Rego evaluation may answer.",
    ),
    key(
        "limits.rego_prints",
        Kind::Boolean,
        "Whether what Rego prints goes to the log, at level `info`; rules that print are interpreted then.",
    ),
    key(
        "limits.batch_items",
        Kind::Integer,
        "Items of an evaluations request.",
    ),
    key(
        "limits.batch_time",
        Kind::Duration,
        "How long an evaluations request may compute.",
    ),
    key(
        "limits.header_timeout",
        Kind::Duration,
        "Time for a request's head to arrive, and for an idle connection.",
    ),
    key(
        "limits.body_timeout",
        Kind::Duration,
        "Time for a decision's body to arrive.",
    ),
    key(
        "limits.drain",
        Kind::Duration,
        "Time for requests to finish after a shutdown began.",
    ),
    key(
        "limits.bundle_bytes",
        Kind::Size,
        "Size of a bundle as it is downloaded.",
    ),
    key("limits.bundle_files", Kind::Integer, "Files in a bundle."),
    key(
        "limits.bundle_file_bytes",
        Kind::Size,
        "Size of one file of a bundle, unpacked.",
    ),
    key(
        "limits.bundle_total_bytes",
        Kind::Size,
        "Size of all files of a bundle, unpacked.",
    ),
    key(
        "fail_open",
        Kind::Words(&["access"]),
        "Decisions that are answered yes where none can be had.",
    ),
    key(
        "threads",
        Kind::Integer,
        "Serving threads; 0 = one per processor.",
    ),
];

/// JSON Schema of the configuration file.
#[must_use]
pub fn schema() -> Value {
    settings::schema("lictor sidecar", KEYS)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{BundleKeyConfig, Config, SourceConfig};
    use super::KEYS;
    use crate::identity::IssuerConfig;

    /// The paths of every leaf of a configuration that has one of each list.
    fn leaves(path: &str, value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let child = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    leaves(&child, value, out);
                }
            }
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                leaves(&format!("{path}[]"), &items[0], out);
            }
            _ => out.push(path.to_owned()),
        }
    }

    #[test]
    fn the_table_and_the_types_name_the_same_settings() {
        let mut config = Config::default();
        config.sources.push(SourceConfig::default());
        config.identity.issuers.push(IssuerConfig::default());
        config.bundle_keys.push(BundleKeyConfig::default());
        let mut typed = Vec::new();
        leaves("", &serde_json::to_value(config).unwrap(), &mut typed);
        let mut table: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        typed.sort();
        table.sort();
        assert_eq!(typed, table);
    }
}
