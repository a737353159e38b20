//! Decoders of text, through the library.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lictor::api::authzen::search::Request;
use lictor::api::authzen::{self};
use lictor::api::{ofrep, opa};
use lictor::bundle::{self, Keyring};
use lictor::engine::canonical_request::{Ambiguity, canonical_path, canonical_request};
use lictor::engine::rego::{parse_rego_json, write_rego_json};
use lictor::engine::{
    AccessRequest, Compiler, Context, DataBuilder, DuplicateMembers, EvaluateError, Limits,
    Program, RegoInput, RegoMachine, RegoModule, RegoSegment, RegoSetting, RegoVersion, Scratch,
};
use lictor::identity::{KeySource, TokenType, TrustedIssuer, Verifier};
use lictor::jose::{self, Algorithm};
use lictor::model::{Revision, Sought, Timestamp};
use lictor::policy::{self, Format};
use lictor::server::settings;
use lictor::sidecar::config::opa::OpaConfig;
use lictor::spans::TraceContext;
use serde_json::json;

use crate::support::mutate::{hold, is_json};
use crate::support::scratch;

const POLICIES: &str = include_str!("../http/policies.yaml");
const OTHERS: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: web, id: 6f1f0c3e-0f0a-4a53-9d5e-0f3c2b1a9d8e, version: 1.2.3, labels: {team: a}}
spec:
  variables: {own: 'jwt.sub == params.id'}
  http:
    - id: own-account
      effect: allow
      methods: [GET, HEAD]
      hosts: [api.example]
      paths: ["/accounts/{id}", "/public/{rest*}"]
      condition: vars.own || http.headers["x-a"] == "\u00e9"
      on_allow: {set_headers: {x-account: params.id}, set_query: {a: "'1'"}}
    - id: maintenance
      effect: deny
      paths: ["/{any*}"]
      condition: data.maintenance
      on_deny: {status: 503, headers: {retry-after: "'30'"}, body: "'back soon'"}
tests:
  - name: one
    http: {method: GET, path: /accounts/7, headers: {x-a: b}}
    jwt: {sub: "7"}
    expect: {allowed: true, rule: own-account, status: 200}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: residency}
spec:
  type: DATA_RESIDENCY
  severity: critical
  enabled: true
  rule: {data_residency: {blocked_countries: [KP, IR]}}
  metadata: {category: compliance}
"#;

const INPUTS: [&str; 8] = [
    r#"{"environment":"production","endpoint":{"url":"http://a"},"service":"s","list":[1,-2.5e3,true,null,"\u00e9\n"]}"#,
    r#"{"client_id":"c-1","provider_id":"p","deep":{"a":{"b":{"c":[[[{"d":1}]]]}}},"big":18446744073709551615}"#,
    r#"{"subject":{"type":"user","id":"alice","properties":{"roles":["admin"],"role":"admin"}},"action":{"name":"write","properties":{"soft":true}},"resource":{"type":"record","id":"record-2","properties":{"status":"archived"}},"context":{"ip_address":"10.0.0.1","roles":"a,b"}}"#,
    r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"evaluations":[{"resource":{"type":"record","id":"1"}},{"context":{}},7],"options":{"evaluations_semantic":"deny_on_first_deny"}}"#,
    r#"{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"page":{"token":"AAAAAAECAwQFBgcICQoLDA0ODxAREhM","limit":3,"properties":{}}}"#,
    r#"{"user_id":"user-1","service_id":"s-1","action":"invoke","context":{"roles":["a"]}}"#,
    r#"{"consumer_id":"c-1","service_id":"s-1","request_payload":"{\"a\":[1,2]}","headers":{"x":"y"},"context":{}}"#,
    r#"{"context":{"targetingKey":"k","country":"DE"},"experiment":"checkout","key":"client-7"}"#,
];

fn program(policies: &str) -> Program {
    let mut compiler = Compiler::default();
    for document in policy::parse("p.yaml", policies.as_bytes(), Format::Yaml, "acme").unwrap() {
        compiler.add(document, "hash".into());
    }
    let mut data = DataBuilder::default();
    let todo = include_bytes!("../http/todo.json");
    data.add(&["todo"], &mut &todo[..]).unwrap();
    compiler
        .compile(data)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn context<'a>() -> Context<'a> {
    Context {
        now: Timestamp::from_unix_seconds(1_800_000_000),
        claims: None,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        limits: Limits::default(),
    }
}

/// A decision says of what it was made about that it was JSON, and records rely on it.
#[test]
fn inputs_of_decisions() {
    let program = program(POLICIES);
    hold(&INPUTS, |text| {
        let json = std::str::from_utf8(text).is_ok() && is_json(text);
        let accepts = |error: Option<EvaluateError>| match error {
            None => assert!(json, "{}", String::from_utf8_lossy(text)),
            Some(error) => assert!(!error.to_string().is_empty()),
        };
        let context = context();
        accepts(program.validate(text, &context, &Scratch::default()).err());
        accepts(
            program
                .consumption(text, &context, &Scratch::default())
                .err(),
        );
        accepts(program.variant(text, &context, &Scratch::default()).err());
        for request in [AccessRequest::Document(text), AccessRequest::Check(text)] {
            accepts(program.access(request, &context, &Scratch::default()).err());
        }
    });
}

#[test]
fn authzen_bodies() {
    hold(&INPUTS, |text| {
        if authzen::Batch::parse(text, 100).is_ok() {
            assert!(is_json(text));
        }
        for sought in Sought::ALL {
            if let Ok(request) = Request::parse(text, sought) {
                assert!(is_json(text));
                // Its position is one that was given out, or none.
                if let Ok((position, token)) = request.position(sought) {
                    assert!(position == 0 || token.is_some());
                }
            }
        }
    });
}

#[test]
fn ofrep_contexts() {
    hold(&INPUTS, |text| {
        if ofrep::Context::parse(text).is_ok() {
            assert!(text.trim_ascii().is_empty() || is_json(text));
        }
    });
}

/// What is read comes back from its own text.
#[test]
fn documents_for_rego() {
    hold(&INPUTS, |text| {
        let scanned = opa::decode_all(text);
        let _ = opa::decode(text);
        let Ok(value) = parse_rego_json(text, 64) else {
            return;
        };
        assert!(scanned.is_ok(), "{}", String::from_utf8_lossy(text));
        let mut written = Vec::new();
        assert!(write_rego_json(&value, 1 << 20, &mut written));
        let again = parse_rego_json(&written, 64).unwrap();
        assert_eq!(again, value, "{}", String::from_utf8_lossy(text));
        // As a discovered configuration is read.
        assert!(is_json(&written), "{}", String::from_utf8_lossy(text));
    });
}

#[test]
fn paths_and_hosts() {
    let examples = [
        "/",
        "/accounts/7",
        "/a/b/../c",
        "/a//b",
        "/%41%2f%5c%00",
        "/%C3%A9;x=1",
        "/a/./b/",
        "/~user/-._",
        "/a%20b+c",
    ];
    hold(&examples, |text| {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        if let Ok(path) = canonical_path(text, &[]) {
            assert!(
                path.starts_with('/') && !path.contains("//") && !path.contains('\\'),
                "{path}"
            );
            let dots = |segment: &str| segment == "." || segment == "..";
            assert!(!path.split('/').any(dots), "{path}");
            for escape in ["%2F", "%5C", "%00", "%2E", "%41", "%7E"] {
                assert!(!path.contains(escape), "{text}: {path}");
            }
            assert_eq!(canonical_path(&path, &[]).as_deref(), Ok(&*path), "{text}");
        }
        if let Ok(path) = canonical_path(text, &Ambiguity::ALL) {
            assert_eq!(
                canonical_path(&path, &Ambiguity::ALL).as_deref(),
                Ok(&*path),
                "{text}"
            );
        }
        let query = format!("/p?{text}");
        let arena = bumpalo::Bump::new();
        for (target, host) in [(text, "a.example:80"), ("/", text), (&query, "[::1]:8080")] {
            if let Ok(found) = canonical_request(target, host, &[], &arena) {
                assert!(
                    !found
                        .host
                        .contains(|letter: char| letter.is_ascii_uppercase())
                );
            }
        }
    });
}

#[test]
fn trace_contexts_and_revisions() {
    let examples = [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
        "17-0123456789ab",
        "9223372036854775807",
        "2026-11-22T08:00:00.123Z",
    ];
    hold(&examples, |text| {
        if let Some(found) = TraceContext::parse(text) {
            let again = TraceContext::parse(found.to_string().as_bytes());
            assert_eq!(again, Some(found));
        }
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        if let Ok(revision) = text.parse::<Revision>() {
            assert_eq!(
                revision.to_string().parse::<Revision>().ok(),
                Some(revision),
                "{text}"
            );
        }
        if let Some(moment) = Timestamp::parse(text) {
            assert_eq!(
                Timestamp::parse(&moment.to_string()),
                Some(moment),
                "{text}"
            );
        }
    });
}

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn keys_and_key_sets() {
    lictor::wire::install_provider();
    let folder = scratch();
    let path = folder.path().join("keys");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "alg": "EdDSA", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "kid": "b", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["verify"]},
    ]});
    let examples = [
        set.to_string(),
        PEM.to_owned(),
        "GX_rDTh9aDwvJ3BVCTQNVQ==".to_owned(),
    ];
    hold(&examples, |text| {
        std::fs::write(&path, text).unwrap();
        for (algorithm, keys) in [
            (Algorithm::EdDsa, KeySource::SetFile(path.clone())),
            (Algorithm::Es256, KeySource::SetFile(path.clone())),
            (Algorithm::EdDsa, KeySource::File(path.clone())),
        ] {
            let issuer = TrustedIssuer {
                name: "tests".into(),
                audience: vec!["a".into()],
                algorithm,
                types: vec![TokenType::Jwt],
                keys,
            };
            let settings = lictor::identity::Settings {
                issuers: vec![issuer],
                ..lictor::identity::Settings::default()
            };
            let _ = Verifier::new(&settings, runtime.handle());
        }
        if let Ok(text) = std::str::from_utf8(text) {
            for algorithm in [
                Algorithm::EdDsa,
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::Rs256,
                Algorithm::Ps256,
            ] {
                let _ = jose::Key::from_pem(algorithm, text);
            }
            let _ = bundle::parse_public_key(text);
        }
    });
}

#[test]
fn keyrings_and_json_files() {
    let keyring = format!(
        "version: 1\nthreshold: 1\nkeys:\n  - kid: k1\n    use: bundle\n    algorithm: Ed25519\n    public_key: |\n      {}\n    tenants: [acme]\n    not_before: 2026-01-01T00:00:00Z\n    revoked: false\n",
        PEM.replace('\n', "\n      ")
    );
    Keyring::parse(keyring.as_bytes()).unwrap();
    let mut examples = vec![keyring];
    examples.extend(INPUTS.map(str::to_owned));
    hold(&examples, |text| {
        if let Ok(keyring) = Keyring::parse(text) {
            assert!(Keyring::parse(keyring.to_yaml().as_bytes()).is_ok());
        }
        if bundle::check_json(text).is_ok() {
            assert!(is_json(text));
        }
    });
}

/// A document that was accepted is accepted from its own JSON, and says the same.
#[test]
fn policies() {
    let mut examples: Vec<String> = Vec::new();
    for whole in [POLICIES, OTHERS] {
        policy::parse("p.yaml", whole.as_bytes(), Format::Yaml, "acme").unwrap();
        for text in whole.split("\n---\n") {
            examples.push(policy::to_json("p.yaml", text.as_bytes(), Format::Yaml).unwrap());
        }
        examples.push(whole.to_owned());
    }
    examples.push("a: &x [1, 2]\nb: *x\nc: !!str 3\nd: |\n  text\n".to_owned());
    hold(&examples, |text| {
        for format in [Format::Yaml, Format::Json] {
            let _ = policy::parse_opaque("p", text, format, "acme");
            let Ok(documents) = policy::parse("p", text, format, "acme") else {
                continue;
            };
            for document in &documents {
                let again = policy::parse("p", document.json.as_bytes(), Format::Json, "acme");
                let again = again.unwrap_or_else(|error| panic!("{}: {error}", document.json));
                assert_eq!(again.len(), 1);
                assert_eq!(again[0].json, document.json);
            }
            let mut compiler = Compiler::default();
            for document in documents {
                compiler.add(document, "hash".into());
            }
            let _ = compiler.compile(DataBuilder::default());
        }
    });
}

/// Expressions compile or are refused; those that compile end within their steps.
#[test]
fn expressions() {
    let examples = [
        r#"input.a.b == 1 && has(input.c) || !(input.d in ["x", "y"])"#,
        r#"input.list.filter(x, x > 1).map(x, x * 2).exists(x, x == 4) ? "yes" : string(size(input.list))"#,
        r#"subject.properties.?role.orValue("none").matches("^[a-z]{1,8}$") && duration("1h") < now - timestamp("2026-01-01T00:00:00Z")"#,
        r#"{"a": 1u, 'b': 2.5e-3, r'c': b"\x00\377"}["a"] == 1u"#,
        r#"cel.bind(x, input.a, [x, x].all(y, y == x)) && "%s: %d".format(["a", 1]) != math.greatest(1, 2.0)"#,
        r#"input.matches("(a+)+$") || data.todo.users[subject.id].roles.exists(r, r.startsWith("ad"))"#,
    ];
    let input = br#"{"a":{"b":1},"c":null,"d":"x","list":[1,2,3]}"#;
    hold(&examples, |text| {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let document = json!({
            "apiVersion": "lictor.dev/v1", "kind": "ValidationPolicy", "metadata": {"name": "p"},
            "spec": {"type": "T", "severity": "low", "validations": [{"expression": text, "field": "f", "message": "m"}]},
        });
        let Ok(documents) =
            policy::parse("p", document.to_string().as_bytes(), Format::Json, "acme")
        else {
            return;
        };
        let mut compiler = Compiler::default();
        for document in documents {
            compiler.add(document, "hash".into());
        }
        if let Ok(program) = compiler.compile(DataBuilder::default()) {
            let _ = program.validate(input, &context(), &Scratch::default());
        }
    });
}

#[test]
fn rego_modules() {
    let examples = [
        "package p\n\nimport rego.v1\n\ndefault allow := false\n\nallow if {\n\tinput.user == \"a\"\n\tsome x in input.list\n\tx > 1\n}\n",
        "package p\n\nallow contains msg if {\n\tevery y in [1, 2] { y < 3 }\n\tmsg := sprintf(\"%v\", [input]) with input as {\"a\": 1}\n} else := 1\n",
        "# METADATA\n# title: t\npackage p.q\n\nx := {k: v | some k, v in {\"a\": `raw`}}\n\ny := [z | z := x[_]]\n\nf(a, b) := a + b * 2\n",
    ];
    let segments = [RegoSegment::Name("p"), RegoSegment::Name("allow")];
    hold(&examples, |text| {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let mut compiler = Compiler::default();
        compiler.add_module(RegoModule {
            path: "p.rego".into(),
            text: text.into(),
            version: RegoVersion::V1,
        });
        let Ok(program) = compiler.compile(DataBuilder::default()) else {
            return;
        };
        let input = RegoInput::default();
        let limits = Limits::default();
        let setting = RegoSetting {
            input: &input,
            data: program.data(),
            limits: &limits,
            now: Timestamp::from_unix_seconds(1_800_000_000),
        };
        let _ = program
            .rego()
            .document(&segments, &setting, &mut RegoMachine::default());
    });
}

/// Tokens that Rego is given are read by other rules than those of callers.
#[test]
fn tokens_that_rego_reads() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.{}",
        part(r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#),
        part(r#"{"iss":"a","aud":["b"],"exp":1900000000}"#),
        part("signature")
    );
    let module = "package p\n\nimport rego.v1\n\nd := io.jwt.decode(input)\n\nv := io.jwt.decode_verify(input, {\"secret\": \"s\", \"alg\": \"HS256\"})\n\nh := io.jwt.verify_hs256(input, \"s\")\n";
    let mut compiler = Compiler::default();
    compiler.add_module(RegoModule {
        path: "p.rego".into(),
        text: module.into(),
        version: RegoVersion::V1,
    });
    let program = compiler.compile(DataBuilder::default()).unwrap();
    let limits = Limits::default();
    hold(&[token.as_str(), "a.b.c", ".."], |text| {
        let text = serde_json::to_vec(&String::from_utf8_lossy(text)).unwrap();
        let input = RegoInput {
            value: Some(parse_rego_json(&text, 64).unwrap()),
            strict: false,
        };
        let setting = RegoSetting {
            input: &input,
            data: program.data(),
            limits: &limits,
            now: Timestamp::from_unix_seconds(1_800_000_000),
        };
        for rule in ["d", "v", "h"] {
            let segments = [RegoSegment::Name("p"), RegoSegment::Name(rule)];
            let _ = program
                .rego()
                .document(&segments, &setting, &mut RegoMachine::default());
        }
    });
}

#[test]
fn data_documents() {
    hold(&INPUTS, |text| {
        let mut data = DataBuilder::default();
        if data.add(&["a", "b"], &mut &text[..]).is_ok() {
            assert!(is_json(text), "{}", String::from_utf8_lossy(text));
            assert!(data.finish().find(&["a", "b"]).is_some());
        }
    });
}

#[test]
fn configuration_files() {
    let examples = [
        "tenant: acme\nlisteners:\n  http: {address: \"127.0.0.1:8181\", allowed_origins: [a, b]}\nsources:\n  - {name: main, url: \"https://a.example/b\", poll: 30s}\nlimits: {body_bytes: 1MiB, steps: 100}\nfail_open: [access]\n",
        "identity: {issuers: [{name: i, audience: [a], algorithm: ES256, typ: [at+jwt], jwks: \"https://a/b\"}]}\nlog: {level: debug}\n",
        "services:\n  acme: {url: https://a.example, credentials: {bearer: {token: \"${TOKEN}\"}}}\nbundles:\n  main: {service: acme, resource: b.tar.gz, polling: {min_delay_seconds: 1}}\ndecision_logs: {service: acme}\nlabels: {a: b}\n",
        r#"{"services":[{"name":"a","url":"http://a"}],"default_decision":"/a/b","server":{"encoding":{"gzip":{"min_length":1}}}}"#,
    ];
    let defaults = serde_json::to_value(lictor::sidecar::config::Config::default()).unwrap();
    hold(&examples, |text| {
        let Ok(text) = std::str::from_utf8(text) else {
            return;
        };
        let variable = |_: &str| Some("value".to_owned());
        let _ = OpaConfig::parse(text, variable);
        for keys in [
            lictor::sidecar::config::KEYS,
            lictor::control_plane::config::KEYS,
        ] {
            let merged = settings::merge(
                keys,
                defaults.clone(),
                Some(("file", text)),
                std::iter::empty(),
                &[],
            );
            if let Err(errors) = merged {
                assert!(!errors.to_string().is_empty());
            }
        }
    });
}
