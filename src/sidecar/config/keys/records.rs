//! The settings of what is recorded: decisions, log, spans.

use crate::server::settings::{Key, Kind};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "decision_log.file",
        Kind::OptionalText,
        "File that decisions are recorded in, a JSON object a line; - = standard output; null = not recorded.",
    ),
    key(
        "decision_log.content",
        Kind::Word(&["digest", "full"]),
        "Whether a record holds the input's SHA-256, or input and result.",
    ),
    key(
        "decision_log.buffer_bytes",
        Kind::Size,
        "Records that wait to be written, per serving thread; more are dropped and counted.",
    ),
    key(
        "decision_log.max_per_second",
        Kind::Integer,
        "More events a second are not logged; 0 = all.",
    ),
    key(
        "decision_log.mask_decision",
        Kind::Text,
        "Path below data of the policy that masks events.",
    ),
    key(
        "decision_log.drop_decision",
        Kind::Text,
        "Path below data of the policy that drops events.",
    ),
    key(
        "decision_log.upload.url",
        Kind::OptionalText,
        "Log service that events are sent to, as OPA sends them; null = none.",
    ),
    key(
        "decision_log.upload.token_file",
        Kind::OptionalText,
        "File with the bearer token for the log service.",
    ),
    key(
        "decision_log.upload.ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust instead of the platform's.",
    ),
    key(
        "decision_log.upload.min_delay",
        Kind::Duration,
        "Shortest time between two uploads.",
    ),
    key(
        "decision_log.upload.max_delay",
        Kind::Duration,
        "Longest time between two uploads.",
    ),
    key(
        "decision_log.upload.upload_bytes",
        Kind::Size,
        "Of one upload, compressed.",
    ),
    key(
        "decision_log.upload.memory_bytes",
        Kind::Size,
        "Events that wait in memory.",
    ),
    key(
        "decision_log.upload.disk_dir",
        Kind::OptionalText,
        "Folder where events wait beyond that and over a restart; null = none.",
    ),
    key(
        "decision_log.upload.disk_bytes",
        Kind::Size,
        "Events that wait in the folder; of more the oldest are dropped and counted.",
    ),
    key(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug", "trace"]),
        "How much is logged.",
    ),
    key(
        "log.format",
        Kind::Word(&["json", "pretty"]),
        "How it is logged.",
    ),
    key(
        "tracing.endpoint",
        Kind::OptionalText,
        "OTLP endpoint (gRPC) of the collector that gets spans; null = no spans.",
    ),
    key(
        "tracing.headers_file",
        Kind::OptionalText,
        "A file of headers for the collector, `name: value` a line.",
    ),
    key(
        "tracing.ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust for it.",
    ),
    key(
        "tracing.sample_ratio",
        Kind::Text,
        "Which part of the traces that begin here is recorded, 0 to 1.",
    ),
    key(
        "tracing.service_name",
        Kind::OptionalText,
        "`service.name` of the spans; null = the program's name.",
    ),
    key(
        "tracing.timeout",
        Kind::Duration,
        "For one batch of spans, and for the last ones at the end.",
    ),
];
