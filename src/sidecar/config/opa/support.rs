//! Every key of an OPA configuration file and what becomes of it here. The one table: the check of a file and the
//! published table of keys are both made from it.

use serde_json::Value;

use crate::server::settings::closest;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// What OPA does.
    Same,
    /// Served, with this difference.
    Different(&'static str),
    /// Not served; nothing is decided or lost by it: a warning at start.
    Warned(&'static str),
    /// Not served, and leaving it out would change decisions or lose data: the sidecar does not start.
    Refused(&'static str),
}

/// A key, by its path: `*` stands for any name or index, a final `**` for all that is below.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    pub path: &'static str,
    pub support: Support,
}

const fn row(path: &'static str, support: Support) -> OptionRow {
    OptionRow { path, support }
}

use Support::{Different, Refused, Same, Warned};

const POLLED: Support =
    Different("polled in the middle between the two, give or take a tenth of it");
const NO_CREDENTIALS: Support = Refused(
    "signing of this kind is not served: use `client_secret`, `signing_key` or `client_assertion_path`",
);
const NO_AWS: Support = Refused(
    "requests are not signed for AWS: put the bundle behind a URL that asks for `bearer`, `oauth2` or `client_tls`, push it to a registry (`type: oci`), or let an agent write it to a `file://` resource",
);
const NO_GCP: Support = Refused(
    "tokens are not fetched from GCP's metadata: let an agent write the token to a file and give `bearer.token_path`",
);
const NO_AZURE: Support = Refused(
    "tokens are not fetched from Azure's managed identity: let an agent write the token to a file and give `bearer.token_path`",
);
const NO_CACHE: Support =
    Warned("no built-in function here asks the network, so nothing is cached");
const NO_EXPORT: Support = Warned("metrics are fetched here, not sent: `/metrics`");
const NO_RESOURCE: Support =
    Warned("spans carry the service's name and this program's version alone");
const OWN_BATCHES: Support = Warned("spans are sent in batches of at most 512, once a second");
const NO_PLUGIN: Support = Refused("plugins cannot be loaded into this program");
const NO_DISK: Support =
    Warned("data lives in memory; the last known good bundles are kept in `cache.dir`");

/// Every key.
pub const KEYS: &[OptionRow] = &[
    row("services.*.name", Same),
    row("services.*.url", Same),
    row("services.*.headers.**", Same),
    row(
        "services.*.allow_insecure_tls",
        Refused("certificates are always verified: give `tls.ca_cert`"),
    ),
    row(
        "services.*.response_header_timeout_seconds",
        Different(
            "where it is not given, 30 seconds for bundles and decision logs; beyond the time that was asked for in long polling; for logs and the status the whole of an answer",
        ),
    ),
    row("services.*.tls.ca_cert", Same),
    row(
        "services.*.tls.system_ca_required",
        Different("with `tls.ca_cert` its authorities alone are trusted"),
    ),
    row("services.*.type", Same),
    row("services.*.credentials.bearer.token", Same),
    row("services.*.credentials.bearer.token_path", Same),
    row(
        "services.*.credentials.bearer.scheme",
        Different("any; of a registry Basic and Bearer"),
    ),
    row("services.*.credentials.client_tls.cert", Same),
    row("services.*.credentials.client_tls.private_key", Same),
    row(
        "services.*.credentials.client_tls.private_key_passphrase",
        Refused("keys with a passphrase are not read: give the file mode 600 in its place"),
    ),
    row(
        "services.*.credentials.client_tls.cert_reread_interval_seconds",
        Different("the files are read for every new connection"),
    ),
    row(
        "services.*.credentials.client_tls.ca_cert",
        Refused("give `tls.ca_cert`"),
    ),
    row(
        "services.*.credentials.client_tls.system_ca_required",
        Refused("give `tls.ca_cert`"),
    ),
    row("services.*.credentials.oauth2.grant_type", Same),
    row("services.*.credentials.oauth2.token_url", Same),
    row("services.*.credentials.oauth2.client_id", Same),
    row("services.*.credentials.oauth2.client_secret", Same),
    row(
        "services.*.credentials.oauth2.signing_key",
        Different("PKCS #8 for elliptic curves; not ES512, EdDSA"),
    ),
    row("services.*.credentials.oauth2.thumbprint", Same),
    row("services.*.credentials.oauth2.additional_claims.**", Same),
    row("services.*.credentials.oauth2.include_jti_claim", Same),
    row("services.*.credentials.oauth2.scopes", Same),
    row("services.*.credentials.oauth2.additional_headers.**", Same),
    row(
        "services.*.credentials.oauth2.additional_parameters.**",
        Same,
    ),
    row("services.*.credentials.oauth2.client_assertion_type", Same),
    row("services.*.credentials.oauth2.client_assertion", Same),
    row("services.*.credentials.oauth2.client_assertion_path", Same),
    row("services.*.credentials.oauth2.aws_kms.**", NO_CREDENTIALS),
    row(
        "services.*.credentials.oauth2.aws_signing.**",
        NO_CREDENTIALS,
    ),
    row(
        "services.*.credentials.oauth2.azure_keyvault.**",
        NO_CREDENTIALS,
    ),
    row(
        "services.*.credentials.oauth2.azure_signing.**",
        NO_CREDENTIALS,
    ),
    row("services.*.credentials.s3_signing.**", NO_AWS),
    row("services.*.credentials.gcp_metadata.**", NO_GCP),
    row("services.*.credentials.azure_managed_identity.**", NO_AZURE),
    row("services.*.credentials.plugin", NO_PLUGIN),
    row("labels.*", Same),
    row("keys.*.key", Same),
    row("keys.*.algorithm", Different("not ES512; EdDSA too")),
    row("keys.*.scope", Same),
    row(
        "keys.*.private_key",
        Different("signs assertions of `oauth2`, nothing else"),
    ),
    row("bundle.**", Same),
    row("bundles.*.service", Same),
    row("bundles.*.resource", Same),
    row("bundles.*.persist", Same),
    row("bundles.*.size_limit_bytes", Same),
    row(
        "bundles.*.trigger",
        Different("always periodic; `POST /v1/sync` of the admin listener fetches now"),
    ),
    row("bundles.*.polling.min_delay_seconds", POLLED),
    row("bundles.*.polling.max_delay_seconds", POLLED),
    row("bundles.*.polling.long_polling_timeout_seconds", Same),
    row(
        "bundles.*.polling.superseded_etag_ttl_seconds",
        Warned("a rejected bundle is not asked for again for `retry_rejected`"),
    ),
    row("bundles.*.signing.keyid", Same),
    row("bundles.*.signing.scope", Same),
    row("bundles.*.signing.exclude_files", Same),
    row(
        "bundles.*.signing.allow_unsigned_delta_bundles",
        Different("a delta passes where unsigned bundles do: `opa.allow_unsigned`"),
    ),
    row("discovery.service", Same),
    row("discovery.resource", Same),
    row(
        "discovery.decision",
        Different("`opa.runtime` is refused: use `${VARIABLE}` in the document"),
    ),
    row("discovery.name", Same),
    row("discovery.prefix", Same),
    row("discovery.persist", Same),
    row(
        "discovery.trigger",
        Different("always periodic; `POST /v1/sync` of the admin listener fetches now"),
    ),
    row("discovery.polling.min_delay_seconds", POLLED),
    row("discovery.polling.max_delay_seconds", POLLED),
    row("discovery.polling.long_polling_timeout_seconds", Same),
    row(
        "discovery.polling.superseded_etag_ttl_seconds",
        Warned("a rejected bundle is not asked for again for `retry_rejected`"),
    ),
    row("discovery.signing.keyid", Same),
    row("discovery.signing.scope", Same),
    row("discovery.signing.exclude_files", Same),
    row(
        "discovery.signing.allow_unsigned_delta_bundles",
        Different("a delta passes where unsigned bundles do: `opa.allow_unsigned`"),
    ),
    row("decision_logs.plugin", NO_PLUGIN),
    row("decision_logs.service", Same),
    row("decision_logs.partition_name", Same),
    row("decision_logs.resource", Same),
    row(
        "decision_logs.console",
        Different("to standard output, one event a line; the log is on standard error"),
    ),
    row(
        "decision_logs.mask_decision",
        Different("credentials are removed too; segments are keys as they are, not escaped"),
    ),
    row("decision_logs.drop_decision", Same),
    row(
        "decision_logs.nd_builtin_cache",
        Warned("no built-in function here asks the network, so there is nothing to record"),
    ),
    row(
        "decision_logs.reporting.buffer_type",
        Different("always by size"),
    ),
    row(
        "decision_logs.reporting.buffer_size_limit_bytes",
        Different("of memory; with `decision_log.upload.disk_dir` events then wait on disk"),
    ),
    row(
        "decision_logs.reporting.buffer_size_limit_events",
        Warned("events are bounded by size: `decision_log.upload.memory_bytes`"),
    ),
    row("decision_logs.reporting.upload_size_limit_bytes", Same),
    row("decision_logs.reporting.min_delay_seconds", Same),
    row("decision_logs.reporting.max_delay_seconds", Same),
    row("decision_logs.reporting.max_decisions_per_second", Same),
    row(
        "decision_logs.reporting.trigger",
        Different("always periodic, and sooner when much waits"),
    ),
    row(
        "decision_logs.request_context.http.headers",
        Warned("events carry the request id and the trace, no other headers"),
    ),
    row("status.plugin", NO_PLUGIN),
    row("status.service", Same),
    row("status.partition_name", Same),
    row(
        "status.console",
        Different("to standard output, one status a line; the log is on standard error"),
    ),
    row(
        "status.prometheus",
        Different(
            "two stages of loading a bundle; the error's code in place of its message; metrics of our own beside them",
        ),
    ),
    row(
        "status.prometheus_config.**",
        Warned("the metrics of bundles here have buckets of their own"),
    ),
    row("status.trigger", Same),
    row("default_decision", Same),
    row("default_authorization_decision", Same),
    row(
        "persistence_directory",
        Different("`cache.dir` of our own configuration wins"),
    ),
    row(
        "server.decoding.max_length",
        Different("1 MiB where it is not given"),
    ),
    row(
        "server.decoding.gzip.max_length",
        Different("2 MiB where it is not given"),
    ),
    row("server.encoding.gzip.min_length", Same),
    row("server.encoding.gzip.compression_level", Same),
    row(
        "server.metrics.prom.http_request_duration_seconds.buckets",
        Same,
    ),
    row("server.logger_plugin", NO_PLUGIN),
    row("caching.**", NO_CACHE),
    row("nd_builtin_cache", NO_CACHE),
    row(
        "distributed_tracing.type",
        Different(
            "grpc, in builds with the feature `otlp`, else a warning; http is an error that says so",
        ),
    ),
    row("distributed_tracing.address", Same),
    row(
        "distributed_tracing.service_name",
        Different("lictor-sidecar where it is not given"),
    ),
    row("distributed_tracing.sample_percentage", Same),
    row(
        "distributed_tracing.encryption",
        Different("off and tls; mtls is an error that says so"),
    ),
    row("distributed_tracing.tls_ca_cert_file", Same),
    row(
        "distributed_tracing.allow_insecure_tls",
        Refused("certificates are always verified: give `tls_ca_cert_file`"),
    ),
    row(
        "distributed_tracing.tls_cert_file",
        Refused("no certificate is shown to a collector"),
    ),
    row(
        "distributed_tracing.tls_private_key_file",
        Refused("no certificate is shown to a collector"),
    ),
    row(
        "distributed_tracing.exclude_paths",
        Warned("spans are of decisions, whatever their path"),
    ),
    row("distributed_tracing.resource.**", NO_RESOURCE),
    row(
        "distributed_tracing.batch_span_processor_options.**",
        OWN_BATCHES,
    ),
    row("metrics_export.**", NO_EXPORT),
    row("storage.**", NO_DISK),
    row(
        "plugins.envoy_ext_authz_grpc.addr",
        Different("loopback where it names no host; no abstract sockets"),
    ),
    row("plugins.envoy_ext_authz_grpc.path", Same),
    row("plugins.envoy_ext_authz_grpc.query", Same),
    row("plugins.envoy_ext_authz_grpc.dry-run", Same),
    row("plugins.envoy_ext_authz_grpc.enable-reflection", Same),
    row("plugins.envoy_ext_authz_grpc.skip-request-body-parse", Same),
    row("plugins.envoy_ext_authz_grpc.proto-descriptor", Same),
    row("plugins.envoy_ext_authz_grpc.grpc-max-recv-msg-size", Same),
    row(
        "plugins.envoy_ext_authz_grpc.grpc-max-send-msg-size",
        Warned("answers are as large as what policies make of `limits.rego_result_bytes`"),
    ),
    row(
        "plugins.envoy_ext_authz_grpc.enable-performance-metrics",
        Warned("checks are always measured, under names of our own"),
    ),
    row(
        "plugins.envoy_ext_authz_grpc.grpc-request-duration-seconds-buckets",
        Warned("the buckets of our histograms are fixed"),
    ),
    row("plugins.*.**", NO_PLUGIN),
];

/// What is wrong with a file, and what is to be said about it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
}

/// Looks at every key of a file.
pub(super) fn check(raw: &Value) -> Found {
    let mut found = Found::default();
    walk(raw, &mut Vec::new(), &mut found);
    found.warnings.dedup();
    found
}

fn walk<'v>(value: &'v Value, path: &mut Vec<&'v str>, found: &mut Found) {
    match value {
        Value::Object(members) => {
            for (name, child) in members {
                path.push(name);
                key(child, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for item in items {
                path.push("*");
                walk(item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn key<'v>(value: &'v Value, path: &mut Vec<&'v str>, found: &mut Found) {
    // An absent section is what null stands for in OPA.
    if value.is_null() {
        return;
    }
    let named = path.join(".");
    // What is said of a section by its name counts more than what is said of any.
    if KEYS.iter().any(|row| is_literally_below(row.path, path)) {
        return walk(value, path, found);
    }
    let parents = path.get(..path.len().saturating_sub(1)).unwrap_or_default();
    let by_name = KEYS.iter().any(|row| is_literally_below(row.path, parents));
    match KEYS
        .iter()
        .filter(|row| !by_name || is_literally_below(row.path, parents))
        .find(|row| is_at(row.path, path))
        .map(|row| row.support)
    {
        Some(Support::Same | Support::Different(_)) => {}
        Some(Support::Warned(why)) => found.warnings.push(format!("`{named}`: {why}")),
        Some(Support::Refused(why)) => found.errors.push(format!("`{named}`: {why}")),
        None if KEYS.iter().any(|row| is_below(row.path, path)) => walk(value, path, found),
        None => found.errors.push(unknown(&named, path)),
    }
}

/// Whether a row says something about exactly this path, or about all that it lies in.
fn is_at(row: &str, path: &[&str]) -> bool {
    let mut steps = path.iter();
    for pattern in row.split('.') {
        match (pattern, steps.next()) {
            ("**", _) => return true,
            ("*", Some(_)) => {}
            (pattern, Some(step)) if pattern == *step => {}
            _ => return false,
        }
    }
    steps.next().is_none()
}

/// Whether a row lies below this path.
fn is_below(row: &str, path: &[&str]) -> bool {
    let mut patterns = row.split('.');
    path.iter().all(|step| {
        patterns
            .next()
            .is_some_and(|pattern| pattern == "*" || pattern == *step)
    }) && patterns.next().is_some()
}

/// Whether a row lies below this path and names each of its steps.
fn is_literally_below(row: &str, path: &[&str]) -> bool {
    let mut patterns = row.split('.');
    path.iter().all(|step| patterns.next() == Some(*step))
        && patterns.next().is_some_and(|next| next != "**")
}

fn unknown(named: &str, path: &[&str]) -> String {
    let (Some(name), parents) = (path.last(), &path[..path.len().saturating_sub(1)]) else {
        return String::new();
    };
    let siblings: Vec<&str> = KEYS
        .iter()
        .filter(|row| is_below(row.path, parents))
        .filter_map(|row| row.path.split('.').nth(parents.len()))
        .filter(|name| !name.starts_with('*'))
        .collect();
    match closest(name, siblings.iter().copied()) {
        Some(near) => format!("unknown key `{named}`: did you mean `{near}`?"),
        None => format!("unknown key `{named}`"),
    }
}
