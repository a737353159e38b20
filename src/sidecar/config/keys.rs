//! The table of the sidecar's settings: what may be in the file, the variables and the schema.

use serde_json::Value;

use crate::identity::TokenType;
use crate::jose::Algorithm;
use crate::server::settings::{self, Key, Kind};

const fn key(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, help }
}

/// Every setting, by section.
pub const KEYS: &[Key] = &[
    key(
        "tenant",
        Kind::Text,
        "The one tenant that this sidecar serves.",
    ),
    key(
        "listeners.http.address",
        Kind::OptionalText,
        "Address and port of the main listener; null = none.",
    ),
    key(
        "listeners.http.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the main listener.",
    ),
    key(
        "listeners.http.tls_cert_file",
        Kind::OptionalText,
        "PEM of the certificate chain.",
    ),
    key(
        "listeners.http.tls_key_file",
        Kind::OptionalText,
        "PEM of the certificate's private key.",
    ),
    key(
        "listeners.http.client_ca_file",
        Kind::OptionalText,
        "PEM of the authorities that issue client certificates; with it every client must show one.",
    ),
    key(
        "listeners.http.trust_domain",
        Kind::OptionalText,
        "The SPIFFE trust domain of client certificates.",
    ),
    key(
        "listeners.http.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.http.allowed_origins",
        Kind::Texts,
        "Origins that browsers may call from.",
    ),
    key(
        "listeners.grpc.address",
        Kind::OptionalText,
        "Address and port of the gRPC listener; null = none.",
    ),
    key(
        "listeners.grpc.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the gRPC listener.",
    ),
    key(
        "listeners.grpc.tls_cert_file",
        Kind::OptionalText,
        "PEM of the certificate chain.",
    ),
    key(
        "listeners.grpc.tls_key_file",
        Kind::OptionalText,
        "PEM of the certificate's private key.",
    ),
    key(
        "listeners.grpc.client_ca_file",
        Kind::OptionalText,
        "PEM of the authorities that issue client certificates; with it every client must show one.",
    ),
    key(
        "listeners.grpc.trust_domain",
        Kind::OptionalText,
        "The SPIFFE trust domain of client certificates.",
    ),
    key(
        "listeners.grpc.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.grpc.reflection",
        Kind::Boolean,
        "Describe the services to clients that ask.",
    ),
    key(
        "listeners.grpc.keep_alive_interval",
        Kind::OptionalDuration,
        "How often a connection is asked whether its client still lives; null = never.",
    ),
    key(
        "listeners.grpc.keep_alive_timeout",
        Kind::Duration,
        "Time for the answer to that.",
    ),
    key(
        "listeners.grpc.max_concurrent_streams",
        Kind::Integer,
        "Calls at a time on one connection.",
    ),
    key(
        "listeners.grpc.max_message_bytes",
        Kind::Size,
        "Size of a request message.",
    ),
    key(
        "listeners.grpc.max_send_buffer_bytes",
        Kind::Size,
        "What is held for a client that does not read, per call.",
    ),
    key(
        "listeners.grpc.stream_window_bytes",
        Kind::Size,
        "What may be under way to us, per call.",
    ),
    key(
        "listeners.grpc.connection_window_bytes",
        Kind::Size,
        "What may be under way to us, per connection.",
    ),
    key(
        "listeners.grpc.max_pending_resets",
        Kind::Integer,
        "Calls that a client reset before anybody looked at them; more end the connection.",
    ),
    key(
        "listeners.grpc.max_error_resets",
        Kind::Integer,
        "Calls that were reset because they broke the protocol; more end the connection.",
    ),
    key(
        "listeners.admin.address",
        Kind::OptionalText,
        "Address and port of the admin listener; null = none.",
    ),
    key(
        "listeners.admin.unix",
        Kind::OptionalText,
        "Path of a Unix socket for the admin listener.",
    ),
    key(
        "listeners.admin.insecure_plaintext",
        Kind::Boolean,
        "Serve plain text beyond loopback.",
    ),
    key(
        "listeners.admin.token_file",
        Kind::OptionalText,
        "Token that opens more than health and metrics beyond loopback.",
    ),
    key(
        "sources[].name",
        Kind::Text,
        "Name of the source in status, metrics and logs.",
    ),
    key(
        "sources[].url",
        Kind::Url,
        "http(s) URL of an archive, or path of an archive or a folder of them.",
    ),
    key(
        "sources[].token_file",
        Kind::OptionalText,
        "Bearer token for the source; read again when the file changes.",
    ),
    key(
        "sources[].ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust instead of the platform's.",
    ),
    key(
        "sources[].poll",
        Kind::Duration,
        "How often to ask where the source cannot wait.",
    ),
    key(
        "sources[].wait",
        Kind::Duration,
        "How long the source may hold a request back; 0 = do not ask it to.",
    ),
    key(
        "sources[].profile",
        Kind::Word(&["lictor", "opa"]),
        "How its bundles are verified; the same for all sources.",
    ),
    key(
        "sources[].allow_unsigned",
        Kind::Boolean,
        "Profile opa: bundles need not be signed.",
    ),
    key(
        "sources[].persist",
        Kind::Boolean,
        "Profile opa: whether its last bundle is kept in cache.dir.",
    ),
    key(
        "sources[].signing.kid",
        Kind::OptionalText,
        "Profile opa: the key of bundle_keys that must have signed; null = the one that the signature names.",
    ),
    key(
        "sources[].signing.scope",
        Kind::OptionalText,
        "Profile opa: what the signature's scope must be; null = the key's.",
    ),
    key(
        "sources[].signing.exclude_files",
        Kind::Texts,
        "Profile opa: patterns of files that need not be signed.",
    ),
    key(
        "bundle_keys[].kid",
        Kind::Text,
        "Profile opa: id of a key that bundles are verified with.",
    ),
    key(
        "bundle_keys[].algorithm",
        Kind::Text,
        "Its algorithm, by its JOSE name.",
    ),
    key(
        "bundle_keys[].key_file",
        Kind::Text,
        "A file with the public key in PEM, or the secret of an HMAC algorithm.",
    ),
    key(
        "bundle_keys[].scope",
        Kind::OptionalText,
        "What the scope of its signatures must be.",
    ),
    key(
        "sources[].min_number",
        Kind::Integer,
        "Bundles below this number are refused.",
    ),
    key(
        "constitutional_hash",
        Kind::OptionalText,
        "Label that every bundle must carry; null = not compared.",
    ),
    key("clock_skew", Kind::Duration, "How far clocks may differ."),
    key(
        "retry_rejected",
        Kind::Duration,
        "How long a rejected bundle is remembered.",
    ),
    key(
        "max_bundle_age",
        Kind::OptionalDuration,
        "/health/fresh fails above this age.",
    ),
    key(
        "keyring",
        Kind::Text,
        "File of the public keys that bundles must be signed with.",
    ),
    key(
        "cache.dir",
        Kind::Text,
        "Folder of the last known good, or none.",
    ),
    key(
        "cache.on_error",
        Kind::Word(&["activate", "keep"]),
        "What a bundle that cannot be persisted does.",
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
        "access.when_no_policy",
        Kind::Word(&["deny", "allow"]),
        "The answer where no access policy is loaded.",
    ),
    key(
        "authzen.policy_decision_point",
        Kind::OptionalText,
        "https URL of this decision point in AuthZEN metadata.",
    ),
    key(
        "ext_authz.path",
        Kind::OptionalText,
        "Rego document that decides about HTTP requests; null = the HTTP rules of access policies.",
    ),
    key(
        "ext_authz.dry_run",
        Kind::Boolean,
        "Answer yes to every check, and say in the metadata what it would have been.",
    ),
    key(
        "ext_authz.skip_request_body_parse",
        Kind::Boolean,
        "Do not look into bodies.",
    ),
    key(
        "ext_authz.proto_descriptor",
        Kind::OptionalText,
        "A file with a FileDescriptorSet: the gRPC services whose requests are read for the policies.",
    ),
    key(
        "ext_authz.undefined",
        Kind::Word(&["error", "deny"]),
        "What an undefined Rego document means.",
    ),
    key(
        "ext_authz.append",
        Kind::Word(&["both", "unset"]),
        "How headers of a Rego decision say whether they replace or add.",
    ),
    key(
        "ext_authz.key",
        Kind::Text,
        "What experiments assign variants by: source.principal, source.address, http.headers.NAME, http.query.NAME, jwt.CLAIM, or a CEL expression over the request.",
    ),
    key(
        "ext_authz.allow_ambiguous",
        Kind::Texts,
        "What a path may hold although servers read it differently, such as double_slash.",
    ),
    key(
        "identity.issuers[].name",
        Kind::Text,
        "The `iss` of tokens that are believed.",
    ),
    key(
        "identity.issuers[].audience",
        Kind::Texts,
        "One of them must be in the token's `aud`.",
    ),
    key(
        "identity.issuers[].use",
        Kind::Word(&["token"]),
        "What the issuer's keys are for.",
    ),
    key(
        "identity.issuers[].algorithm",
        Kind::Word(Algorithm::ASYMMETRIC),
        "What its tokens are signed with.",
    ),
    key(
        "identity.issuers[].typ",
        Kind::Words(TokenType::WORDS),
        "What its tokens call themselves: JWT, at+jwt (RFC 9068) or both.",
    ),
    key(
        "identity.issuers[].public_key_file",
        Kind::OptionalText,
        "PEM of the issuer's public key.",
    ),
    key(
        "identity.issuers[].jwks",
        Kind::Url,
        "The issuer's key set: an https URL or a path.",
    ),
    key(
        "identity.issuers[].jwks_ca_file",
        Kind::OptionalText,
        "PEM of the certificate authorities to trust for it.",
    ),
    key(
        "identity.issuers[].jwks_refresh",
        Kind::Duration,
        "How often a key set behind a URL is fetched.",
    ),
    key(
        "opa.authentication",
        Kind::Word(&["off", "token"]),
        "What OPA's clients are known by: token = the bearer token is the policy's `input.identity`.",
    ),
    key(
        "opa.authorization",
        Kind::Word(&["off", "basic"]),
        "Whether a policy decides about each request of OPA's clients.",
    ),
    key(
        "opa.allow_unsigned",
        Kind::Boolean,
        "Bundles that an OPA configuration file names need not be signed.",
    ),
    key(
        "opa.default_decision",
        Kind::Text,
        "Path of the document that `POST /` asks for.",
    ),
    key(
        "opa.default_authorization_decision",
        Kind::Text,
        "Path of the document that decides about requests of OPA's clients.",
    ),
    key(
        "opa.body_bytes",
        Kind::Size,
        "Size of a body of OPA's clients as it arrives.",
    ),
    key(
        "opa.gzip_body_bytes",
        Kind::Size,
        "Size of a compressed body of OPA's clients, unpacked.",
    ),
    key(
        "opa.gzip_min_length",
        Kind::Size,
        "Shorter answers to OPA's clients are not compressed.",
    ),
    key(
        "opa.gzip_level",
        Kind::Integer,
        "How hard answers to OPA's clients are compressed: 0 to 9.",
    ),
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
        "fail_open",
        Kind::Words(&["access"]),
        "Decisions that are answered yes where none can be had.",
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
