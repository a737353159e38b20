use serde_json::json;

use super::*;

const KEYS: &[Key] = &[
    Key {
        path: "tenant",
        kind: Kind::Text,
        help: "",
    },
    Key {
        path: "limits.body_bytes",
        kind: Kind::Size,
        help: "",
    },
    Key {
        path: "limits.header_timeout",
        kind: Kind::Duration,
        help: "",
    },
    Key {
        path: "listeners.http.address",
        kind: Kind::OptionalText,
        help: "",
    },
    Key {
        path: "sources[].name",
        kind: Kind::Text,
        help: "",
    },
    Key {
        path: "sources[].url",
        kind: Kind::Url,
        help: "",
    },
    Key {
        path: "fail_open",
        kind: Kind::Words(&["access"]),
        help: "",
    },
];

fn defaults() -> Value {
    json!({
        "tenant": "", "limits": {"body_bytes": 10, "header_timeout": "10s"},
        "listeners": {"http": {"address": "127.0.0.1:8181"}}, "sources": [], "fail_open": []
    })
}

fn environment(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect::<Vec<_>>()
        .into_iter()
}

#[test]
fn later_layers_win_and_values_know_their_origin() {
    let file = "tenant: acme\nlimits:\n  body_bytes: 2KiB\n  header_timeout: 5s\nsources:\n  - name: main\n    url: http://a\n";
    let merged = merge(
        KEYS,
        defaults(),
        Some(("lictor.yaml", file)),
        environment(&[
            ("LICTOR_LIMITS__HEADER_TIMEOUT", "3s"),
            ("LICTOR_SOURCES__0__URL", "http://b"),
            ("LICTOR_FAIL_OPEN", "access"),
            ("LICTOR_SERVICE_HOST", "10.0.0.1"),
            ("LICTOR_PORT_8181_TCP", "tcp://10.0.0.1:8181"),
            ("HOME", "/"),
        ]),
        &[Flag {
            name: "--http",
            path: "listeners.http.address",
            value: "127.0.0.1:0".into(),
        }],
    )
    .unwrap();
    assert_eq!(
        merged.value,
        json!({
            "tenant": "acme", "limits": {"body_bytes": 2048, "header_timeout": "3s"},
            "listeners": {"http": {"address": "127.0.0.1:0"}},
            "sources": [{"name": "main", "url": "http://b"}], "fail_open": ["access"]
        })
    );
    assert_eq!(
        merged.origin("tenant"),
        Origin::File("lictor.yaml".into(), 1)
    );
    assert_eq!(
        merged.origin("sources[0].name"),
        Origin::File("lictor.yaml".into(), 6)
    );
    assert_eq!(
        merged.origin("limits.header_timeout").to_string(),
        "environment LICTOR_LIMITS__HEADER_TIMEOUT"
    );
    assert_eq!(
        merged.origin("listeners.http.address").to_string(),
        "flag --http"
    );
    assert_eq!(merged.origin("listeners.http.other"), Origin::Default);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let file = "tennant: acme\nlimits:\n  body_byte: 1\n  header_timeout: soon\nsources: 5\nfail_open: [acces]\n";
    let errors = merge(
        KEYS,
        defaults(),
        Some(("f.yaml", file)),
        environment(&[
            ("LICTOR_LIMITS__BODY_BITES", "1"),
            ("LICTOR_SOURCES__3__NAME", "x"),
        ]),
        &[],
    )
    .unwrap_err()
    .to_string();
    for expected in [
        "f.yaml:1: unknown key `tennant`: did you mean `tenant`?",
        "f.yaml:3: unknown key `limits.body_byte`: did you mean `body_bytes`?",
        "f.yaml:4: `limits.header_timeout`: `soon` is no duration",
        "f.yaml:5: `sources`: expected a list",
        "f.yaml:6: `fail_open`: `acces` is not known here (did you mean `access`?)",
        "environment LICTOR_LIMITS__BODY_BITES: `LICTOR_LIMITS__BODY_BITES` sets nothing that is known: did you mean `LICTOR_LIMITS__BODY_BYTES`?",
        "environment LICTOR_SOURCES__3__NAME: `sources[3].name`: items must be numbered",
    ] {
        assert!(errors.contains(expected), "{expected}\nin\n{errors}");
    }
}

#[test]
fn credentials_in_a_url_are_refused() {
    let error = merge(
        KEYS,
        defaults(),
        Some(("f", "sources:\n  - url: https://user:secret@host/x\n")),
        environment(&[]),
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("may not carry credentials"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn the_schema_names_every_key() {
    let schema = schema("test", KEYS);
    assert_eq!(
        schema["properties"]["sources"]["items"]["properties"]["url"]["type"],
        "string"
    );
    assert_eq!(
        schema["properties"]["limits"]["additionalProperties"],
        false
    );
    assert_eq!(
        schema["properties"]["listeners"]["properties"]["http"]["properties"]["address"]["type"],
        json!(["string", "null"])
    );
}
