use serde_json::json;

use std::fmt::Write as _;

use super::support::Support;
use super::*;

fn parse(text: &str) -> Result<OpaConfig, String> {
    OpaConfig::parse(text, |name| (name == "TOKEN").then(|| "s3cret".to_owned()))
}

const FILE: &str = r#"
services:
  - name: acme
    url: https://example.com/control
    credentials:
      bearer: {token: "${TOKEN}"}
    headers: {X-Api-Token: "h3ader"}
labels:
  app: shop
  region: ${REGION}
keys:
  one:
    key: |
      -----BEGIN PUBLIC KEY-----
    algorithm: ES256
decision_logs:
  service: acme
  reporting:
    min_delay_seconds: 5
    max_delay_seconds: 10
default_decision: /http/allow
server:
  encoding: {gzip: {min_length: 7, compression_level: 3}}
  decoding: {max_length: 10, gzip: {max_length: 20}}
  metrics: {prom: {http_request_duration_seconds: {buckets: [0.1, 1]}}}
plugins:
  envoy_ext_authz_grpc: {addr: ":9192", path: envoy/authz/allow, dry-run: true}
"#;

#[test]
fn a_file_is_typed() {
    let config = parse(FILE).unwrap();
    let (name, service) = config.service("").unwrap();
    assert_eq!(
        (name.as_str(), service.url.as_str()),
        ("acme", "https://example.com/control")
    );
    assert_eq!(service.credentials.bearer.as_ref().unwrap().token, "s3cret");
    assert_eq!(config.labels["app"], "shop");
    assert_eq!(
        config.labels["region"], "${REGION}",
        "what names no variable stays"
    );
    assert!(config.labels.contains_key("id") && config.labels.contains_key("version"));
    assert_eq!(config.keys["one"].algorithm, "ES256");
    assert!(config.keys["one"].key.contains("PUBLIC KEY"));
    let logs = config.decision_logs.as_ref().unwrap();
    assert_eq!(logs.reporting.upload_size_limit_bytes, 32_768);
    assert_eq!(logs.mask_decision, "/system/log/mask");
    assert!(config.logs_decisions());
    assert_eq!(config.default_decision, "/http/allow");
    assert_eq!(
        config.default_authorization_decision,
        DEFAULT_AUTHORIZATION_DECISION
    );
    assert_eq!(config.server.buckets(), [0.1, 1.0]);
    assert!(config.envoy.as_ref().unwrap().dry_run);
}

#[test]
fn our_settings_follow_from_it() {
    let mut ours = Config::default();
    let set = parse(FILE).unwrap().apply(&mut ours);
    assert_eq!(ours.opa.default_decision, "/http/allow");
    assert_eq!((ours.opa.body_bytes, ours.opa.gzip_body_bytes), (10, 20));
    assert_eq!((ours.opa.gzip_min_length, ours.opa.gzip_level), (7, 3));
    assert!(set.contains(&("opa.body_bytes", "server.decoding.max_length")));
    // What the file does not say stays ours.
    let mut ours = Config::default();
    parse("{}").unwrap().apply(&mut ours);
    assert_eq!(ours, Config::default());
}

#[test]
fn secrets_are_not_shown() {
    let config = parse(FILE).unwrap();
    let shown = config.active.to_string() + &format!("{config:?}");
    for secret in ["s3cret", "BEGIN PUBLIC KEY", "h3ader"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert_eq!(
        config.active["services"][0]["headers"]["X-Api-Token"],
        "REDACTED"
    );
    assert_eq!(
        config.active["keys"],
        json!({"one": {"algorithm": "ES256"}})
    );
    assert_eq!(config.active["default_decision"], "/http/allow");
}

#[test]
fn json_is_read_as_well_and_nothing_is_an_empty_file() {
    let config =
        parse(r#"{"services": {"a": {"url": "http://a\/b"}}, "labels": {"x": "\ud83d\ude00"}}"#)
            .unwrap();
    assert_eq!(config.services["a"].url, "http://a/b");
    assert_eq!(config.labels["x"], "\u{1f600}");
    assert_eq!(parse("").unwrap().default_decision, DEFAULT_DECISION);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    for (text, expected) in [
        ("- 1", "a mapping of sections"),
        ("a: [", "line 1"),
        (
            "decison_logs: {}",
            "unknown key `decison_logs`: did you mean `decision_logs`?",
        ),
        (
            "services: {a: {url: http://x, heders: {}}}",
            "unknown key `services.a.heders`: did you mean `headers`?",
        ),
        (
            "services: [{name: a, url: http://x, heders: {}}]",
            "unknown key `services.*.heders`",
        ),
        ("services: {a: {url: ftp://x}}", "`services.a.url`"),
        ("services: [{url: http://x}]", "a service needs a name"),
        (
            "services: {a: {url: http://x, credentials: {s3_signing: {}}}}",
            "`services.a.credentials.s3_signing`",
        ),
        (
            "plugins: {mine: {}}",
            "`plugins.mine`: plugins cannot be loaded",
        ),
        ("decision_logs: {plugin: mine}", "`decision_logs.plugin`"),
        (
            "decision_logs: {service: nobody}",
            "`decision_logs.service`: there is no service `nobody`",
        ),
        (
            "decision_logs: {reporting: {buffer_type: event, buffer_size_limit_bytes: 1}}",
            "needs `buffer_type: size`",
        ),
        (
            "decision_logs: {reporting: {min_delay_seconds: 1}}",
            "give both",
        ),
        (
            "decision_logs: {reporting: {trigger: sometimes}}",
            "unknown variant `sometimes`",
        ),
        (
            "server: {encoding: {gzip: {compression_level: 10}}}",
            "0 to 9",
        ),
        (
            "server: {metrics: {prom: {http_request_duration_seconds: {buckets: [1, 1]}}}}",
            "must grow",
        ),
        ("default_decision: 'a\"b'", "no path of a document"),
        ("default_decision: [1]", "invalid type"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_does_no_harm_is_a_warning_with_its_path() {
    let warnings = parse(
        "caching: {inter_query_builtin_cache: {max_size_bytes: 1}}\nstatus: {prometheus_config: {}}\n",
    )
    .unwrap()
    .warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("`caching`: "), "{warnings:?}");
    assert!(
        warnings[1].starts_with("`status.prometheus_config`: "),
        "{warnings:?}"
    );
}

#[test]
fn variables_are_replaced_as_in_opa() {
    let variable = |name: &str| match name {
        "A" => Some("x".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    for (text, expected) in [
        ("${A}${A}", "xx"),
        ("<${EMPTY}>", "<>"),
        ("${B} ${A}", "${B} x"),
        ("${}", ""),
        ("${A", "${A"),
        ("${A\n}", "${A\n}"),
        ("$A $$ {A}", "$A $$ {A}"),
    ] {
        assert_eq!(substitute(text, variable), expected, "{text}");
    }
}

/// The table of keys for readers, made of the one that files are checked with.
fn published() -> String {
    let mut out = "| key | here |\n| --- | --- |\n".to_owned();
    for row in KEYS {
        let said = match row.support {
            Support::Same => "same".to_owned(),
            Support::Different(how) => format!("different: {how}"),
            Support::Warned(why) => format!("not here, a warning at start: {why}"),
            Support::Refused(why) => format!("not here, an error at start: {why}"),
        };
        let _ = writeln!(out, "| `{}` | {said} |", row.path);
    }
    out
}

#[test]
fn the_published_table_of_keys_is_the_one_that_is_checked() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/sidecar/config/opa/keys.md"
    );
    if std::env::var_os("LICTOR_TEST_WRITE").is_some() {
        std::fs::write(path, published()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert!(
        file == published(),
        "run this test with LICTOR_TEST_WRITE=1 to write `{path}` anew"
    );
}

#[test]
fn what_a_token_endpoint_needs_is_named() {
    let of = |oauth2: &str| {
        parse(&format!(
            "keys: {{sign: {{private_key: x, algorithm: HS256}}, verify: {{key: x}}}}
services: {{acme: {{url: https://a, credentials: {{oauth2: {oauth2}}}}}}}"
        ))
    };
    for (oauth2, expected) in [
        (
            "{token_url: 'http://a/t', client_id: a, client_secret: b}",
            "token_url`: https://",
        ),
        (
            "{token_url: 'https://a/t', client_id: a}",
            "give one of client_secret",
        ),
        (
            "{token_url: 'https://a/t', client_id: a, client_secret: b, signing_key: sign}",
            "give one of",
        ),
        (
            "{token_url: 'https://a/t', client_secret: b}",
            "client_id` is missing",
        ),
        (
            "{token_url: 'https://a/t', grant_type: password}",
            "grant_type` is `password`",
        ),
        (
            "{token_url: 'https://a/t', grant_type: jwt_bearer}",
            "signing_key` is missing",
        ),
        (
            "{token_url: 'https://a/t', signing_key: verify}",
            "no key `verify` with a `private_key`",
        ),
        (
            "{token_url: 'https://a/t', aws_kms: {name: x}}",
            "signing of this kind is not served",
        ),
        ("{token_ur: 'https://a/t'}", "did you mean `token_url`"),
    ] {
        let error = of(oauth2).unwrap_err();
        assert!(error.contains(expected), "{oauth2}: {error}");
    }
    let good =
        of("{token_url: 'https://a/t', signing_key: sign, additional_claims: {iss: a}}").unwrap();
    let oauth2 = good.services["acme"].credentials.oauth2.as_ref().unwrap();
    assert_eq!(oauth2.key.as_ref().unwrap().algorithm, "HS256");
    let error = parse("services: {a: {url: https://a, credentials: {client_tls: {cert: c}}}}");
    assert!(
        error
            .unwrap_err()
            .contains("give both `cert` and `private_key`")
    );
}

/// Every key that OPA 1.22 documents or reads, by its path.
const OPAS: &str = include_str!("keys.txt");

/// A file with this key alone, and what is said of it.
fn said(path: &str) -> support::Found {
    let steps = path.split('.').rev();
    let file = steps.fold(json!("x"), |value, step| {
        let step = if step == "*" { "some" } else { step };
        json!({ step: value })
    });
    support::check(&file)
}

#[test]
fn every_key_of_opas_is_the_same_different_or_named() {
    let mut kinds = [0; 3];
    for path in OPAS.lines() {
        let found = said(path);
        match (found.errors.as_slice(), found.warnings.as_slice()) {
            ([], []) => kinds[0] += 1,
            ([error], []) => {
                assert!(!error.contains("unknown key"), "{error}");
                kinds[1] += 1;
            }
            ([], [_]) => kinds[2] += 1,
            _ => panic!("{path}: {found:?}"),
        }
    }
    assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
    // And nothing is said of keys that OPA does not know.
    let known = |row: &&OptionRow| {
        let row = row.path.trim_end_matches(".**");
        let is_envoys = row.starts_with("plugins.");
        is_envoys
            || OPAS.lines().any(|path| {
                let path = path.trim_end_matches(".*");
                path == row || path.starts_with(&format!("{row}.")) || row == format!("{path}.*")
            })
    };
    let unknown: Vec<_> = KEYS.iter().filter(|row| !known(row)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn credentials_of_clouds_are_named_with_what_to_do() {
    for (kind, expected) in [
        (
            "s3_signing: {metadata_credentials: {aws_region: x}}",
            "type: oci",
        ),
        ("gcp_metadata: {audience: x}", "bearer.token_path"),
        ("azure_managed_identity: {resource: x}", "bearer.token_path"),
        ("plugin: mine", "plugins cannot be loaded"),
        (
            "oauth2: {token_url: 'https://a', aws_kms: {name: x}}",
            "signing_key",
        ),
        (
            "oauth2: {token_url: 'https://a', azure_keyvault: {key: x}}",
            "signing_key",
        ),
    ] {
        let text = format!("services: {{a: {{url: http://a, credentials: {{{kind}}}}}}}");
        let error = parse(&text).unwrap_err();
        let name = kind.split_once(':').unwrap().0;
        let place = format!("`services.a.credentials.{name}");
        assert!(
            error.starts_with(&place) && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn credentials_of_a_registry_that_cannot_be_shown_to_it_are_named() {
    let service = |more: &str| format!("services: {{a: {{url: https://r, type: oci, {more}}}}}");
    for (more, expected) in [
        (
            "credentials: {bearer: {token: t, scheme: Digest}}",
            "Basic or Bearer",
        ),
        ("credentials: {bearer: {}}", "give `token` or `token_path`"),
        (
            "credentials: {bearer: {token: t, token_path: p}}",
            "not both",
        ),
    ] {
        let error = parse(&service(more)).unwrap_err();
        assert!(
            error.contains("`services.a.credentials.bearer") && error.contains(expected),
            "{error}"
        );
    }
    let warnings = parse(&service("headers: {x: y}")).unwrap().warnings;
    assert!(
        warnings[0].starts_with("`services.a.headers`"),
        "{warnings:?}"
    );
}

#[test]
fn distributed_tracing_is_our_tracing() {
    let config = parse(
        "distributed_tracing: {type: grpc, address: 'otel:4317', service_name: shop, sample_percentage: 12.5, encryption: tls, tls_ca_cert_file: /ca.pem}",
    );
    let mut ours = Config::default();
    let set = config.unwrap().apply(&mut ours);
    let tracing = &ours.tracing;
    assert_eq!(tracing.endpoint.as_deref(), Some("https://otel:4317"));
    assert_eq!(tracing.service_name.as_deref(), Some("shop"));
    assert_eq!(tracing.sample_ratio, "0.125");
    assert_eq!(tracing.ca_file.as_deref(), Some("/ca.pem"));
    assert!(set.contains(&("tracing.endpoint", "distributed_tracing.address")));
    let mut ours = Config::default();
    parse("distributed_tracing: {type: grpc}")
        .unwrap()
        .apply(&mut ours);
    assert_eq!(
        ours.tracing.endpoint.as_deref(),
        Some("http://localhost:4317")
    );
    parse("distributed_tracing: {}")
        .unwrap()
        .apply(&mut Config::default());
    for (text, expected) in [
        ("type: http", "OTLP over gRPC alone"),
        ("type: zipkin", "grpc is expected"),
        ("type: grpc, encryption: mtls", "use `tls`"),
        ("type: grpc, encryption: x", "off or tls"),
        ("type: grpc, sample_percentage: 101", "from 0 to 100"),
        ("type: grpc, allow_insecure_tls: true", "tls_ca_cert_file"),
        ("type: grpc, tls_cert_file: x", "no certificate is shown"),
    ] {
        let error = parse(&format!("distributed_tracing: {{{text}}}")).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
