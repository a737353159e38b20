//! The real Envoy before the real sidecar, with the configurations of `deploy/envoy` as they are but for the ports.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use lictor::policy::Format;
use serde_json::{Value, json};

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::envoy::{Envoy, asked};
use crate::support::outside;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICIES: &str = include_str!("envoy/policies.yaml");

fn policies(number: u64, text: &str) -> Vec<u8> {
    bundle_of(
        number,
        documents(text, Format::Yaml),
        &[],
        &[&signing_key()],
    )
}

/// A pod with these policies in force.
fn start(more: &Value) -> (Pod, Sidecar) {
    let pod = Pod::new();
    let mut config = json!({
        "listeners": {
            "http": {"address": "127.0.0.1:0", "unix": pod.path("http.sock")},
            "grpc": {"address": "127.0.0.1:0", "unix": pod.path("grpc.sock")},
            "admin": {"address": "127.0.0.1:0"},
        },
        "ext_authz": {"key": "http.headers.x-user"},
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    pod.configure(&config);
    pod.put(&policies(1, POLICIES));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    (pod, sidecar)
}

/// One of the four configurations, before this sidecar.
fn envoy(program: &Path, file: &str, sidecar: &Sidecar) -> Envoy {
    let grpc = format!("port_value: {}", sidecar.grpc.port());
    let http = format!("port_value: {}", sidecar.http.port());
    let sockets = sidecar.pod.path("").display().to_string();
    let (from, to) = match file {
        "grpc-tcp.yaml" => ("port_value: 9191", grpc.as_str()),
        "http-tcp.yaml" => ("port_value: 8181", http.as_str()),
        _ => ("path: /run/lictor/", &*format!("path: {sockets}/")),
    };
    Envoy::start(program, file, &[(from, to)])
}

const FILES: [&str; 4] = [
    "grpc-tcp.yaml",
    "grpc-unix.yaml",
    "http-tcp.yaml",
    "http-unix.yaml",
];

#[test]
fn every_deployed_configuration_allows_denies_and_changes_requests() {
    let Some(program) = outside("envoy") else {
        return;
    };
    let (_pod, sidecar) = start(&json!({}));
    for file in FILES {
        let envoy = envoy(&program, file, &sidecar);
        let mut client = envoy.client();
        let public = client.get("/public/a?b=c");
        assert_eq!(asked(&public)["target"], "/public/a?b=c", "{file}");
        assert_eq!(client.get("/else").status, 403, "{file}");
        assert_eq!(
            client.get("/public/%2e%2e/elsewhere8").status,
            403,
            "{file}"
        );
        // What clients may not say is taken from them, what the rule sets is there.
        let forged = [
            ("x-account", "1"),
            ("x-secret", "s"),
            ("x-lictor-variant-checkout-rules", "B"),
            ("x-lictor-failed-open", "not_ready"),
            ("x-trail", "client"),
        ];
        let account = client.send("GET", "/accounts/7", &forged, "");
        let headers = &asked(&account)["headers"];
        assert_eq!(headers["x-account"], "7", "{file}: {headers:#}");
        assert_eq!(headers["x-secret"], Value::Null, "{file}: {headers:#}");
        assert_eq!(account.json()["app"], "a", "{file}");
        assert_eq!(account.header("x-served"), "by-7", "{file}");
        let variant = &headers["x-lictor-variant-checkout-rules"];
        assert_eq!(*variant, Value::Null, "{file}: {headers:#}");
        assert_eq!(headers["x-lictor-failed-open"], Value::Null, "{file}");
        let public = client.send("GET", "/public/x", &forged, "");
        let headers = &asked(&public)["headers"];
        assert_eq!(headers["x-account"], Value::Null, "{file}: {headers:#}");
        // A denial with a reply of its own.
        let login = client.get("/login");
        assert_eq!(login.status, 302, "{file}");
        assert_eq!(login.header("location"), "/sign-in", "{file}");
        let down = client.get("/down");
        let expected = if file.starts_with("grpc") { 503 } else { 403 };
        assert_eq!(down.status, expected, "{file}");
        assert_eq!(down.header("retry-after"), "30", "{file}");
        assert_eq!(down.text(), "back soon", "{file}");
        // Bodies: a rule reads them, and the application gets them.
        let json = [("content-type", "application/json")];
        let order = client.send("POST", "/orders", &json, r#"{"total": 10}"#);
        assert_eq!(asked(&order)["body"], r#"{"total": 10}"#, "{file}");
        let dear = client.send("POST", "/orders", &json, r#"{"total": 1000}"#);
        assert_eq!(dear.status, 403, "{file}");
        let broken = client.send("POST", "/orders", &json, "{");
        assert_eq!(broken.status, 400, "{file}");
    }
}

#[test]
fn envoy_routes_by_the_variant_of_an_experiment() {
    let Some(program) = outside("envoy") else {
        return;
    };
    let (_pod, sidecar) = start(&json!({}));
    for file in FILES {
        let envoy = envoy(&program, file, &sidecar);
        let mut client = envoy.client();
        let mut seen = [0, 0];
        for user in 0..40 {
            let user = format!("user-{user}");
            let headers = [("x-user", user.as_str())];
            let answer = asked(&client.send("GET", "/public/shop", &headers, ""));
            let variant = &answer["headers"]["x-lictor-variant-checkout-rules"];
            match (variant.as_str().unwrap(), answer["app"].as_str().unwrap()) {
                ("A", "a") => seen[0] += 1,
                ("B", "b") => seen[1] += 1,
                other => panic!("{file}: {user}: {other:?}"),
            }
            let again = asked(&client.send("GET", "/public/shop", &headers, ""));
            assert_eq!(again["app"], answer["app"], "a user keeps the variant");
        }
        assert!(seen[0] > 5 && seen[1] > 5, "{file}: {seen:?}");
    }
}

#[test]
fn query_and_metadata_reach_envoy_over_grpc() {
    let Some(program) = outside("envoy") else {
        return;
    };
    let (_pod, sidecar) = start(&json!({}));
    let mut envoy = envoy(&program, "grpc-tcp.yaml", &sidecar);
    let mut client = envoy.client();
    let answer = asked(&client.send("GET", "/query?debug=1&a=b", &[("x-user", "u")], ""));
    let target = answer["target"].as_str().unwrap();
    assert!(
        target.contains("a=b") && target.contains("tenant=acme"),
        "{target}"
    );
    assert!(!target.contains("debug"), "{target}");
    assert_eq!(answer["headers"]["x-trail"], "lictor");
    let appended = client.send("GET", "/query", &[("x-trail", "client")], "");
    assert_eq!(
        asked(&appended)["headers"]["x-trail"]
            .as_str()
            .unwrap()
            .replace('|', ","),
        "client,lictor"
    );
    let line = envoy.logged("the access log of the query", |line| {
        line["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("/query"))
    });
    let decision = &line["decision"];
    assert_eq!(decision["rule"], "query", "{line:#}");
    assert_eq!(decision["policy"], "web", "{line:#}");
    assert_eq!(decision["who"], "u", "{line:#}");
    assert!(decision["decision_id"].is_string(), "{line:#}");
    assert!(
        decision["revision"].as_str().unwrap().starts_with("1-"),
        "{line:#}"
    );
    assert!(
        decision["variants"]["checkout-rules"].is_string(),
        "{line:#}"
    );
}

#[test]
fn a_killed_sidecar_closes_the_gate_unless_the_operator_opens_it() {
    let Some(program) = outside("envoy") else {
        return;
    };
    for file in FILES {
        let (pod, sidecar) = start(&json!({}));
        let closed = envoy(&program, file, &sidecar);
        let sockets = pod.path("").display().to_string();
        let (from, to) = match file {
            "grpc-tcp.yaml" => (
                "port_value: 9191",
                format!("port_value: {}", sidecar.grpc.port()),
            ),
            "http-tcp.yaml" => (
                "port_value: 8181",
                format!("port_value: {}", sidecar.http.port()),
            ),
            _ => ("path: /run/lictor/", format!("path: {sockets}/")),
        };
        let open = ("failure_mode_allow: false", "failure_mode_allow: true");
        let open = Envoy::start(&program, file, &[(from, &to), open]);
        assert_eq!(closed.client().get("/public/a").status, 200, "{file}");
        assert_eq!(
            open.client().get("/else").status,
            403,
            "{file}: a denial is no failure"
        );
        sidecar.process.signal("KILL");
        let mut sidecar = sidecar;
        sidecar.process.exit();
        assert_eq!(closed.client().get("/public/a").status, 403, "{file}");
        assert_eq!(open.client().get("/public/a").status, 200, "{file}");
    }
}

#[test]
fn without_a_bundle_nothing_passes_and_what_may_fail_open_says_so() {
    let Some(program) = outside("envoy") else {
        return;
    };
    for file in ["grpc-tcp.yaml", "http-tcp.yaml"] {
        for open in [false, true] {
            let pod = Pod::new();
            let words = if open { json!(["access"]) } else { json!([]) };
            pod.configure(&json!({"fail_open": words}));
            let sidecar = pod.start();
            let envoy = envoy(&program, file, &sidecar);
            let forged = [("x-lictor-failed-open", "x"), ("x-lictor-variant-a", "B")];
            let answer = envoy.client().send("GET", "/a", &forged, "");
            if !open {
                assert_eq!(answer.status, 403, "{file}");
                continue;
            }
            let headers = &asked(&answer)["headers"];
            assert_eq!(headers["x-lictor-failed-open"], "not_ready", "{file}");
            assert_eq!(headers["x-lictor-variant-a"], Value::Null, "{file}");
        }
    }
}

#[test]
fn policies_are_swapped_under_traffic_without_an_error() {
    let Some(program) = outside("envoy") else {
        return;
    };
    let (pod, sidecar) = start(&json!({}));
    let envoy = envoy(&program, "grpc-tcp.yaml", &sidecar);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let mut client = envoy.client();
                let done = &done;
                scope.spawn(move || {
                    let mut count = 0_u32;
                    while !done.load(Ordering::Relaxed) {
                        let account = asked(&client.get("/accounts/7"));
                        assert_eq!(account["headers"]["x-account"], "7");
                        assert_eq!(client.get("/else").status, 403);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for number in 2..8 {
            pod.put(&policies(number, POLICIES));
            sidecar.sync();
            sidecar.wait_for_number(number);
        }
        done.store(true, Ordering::Relaxed);
        for client in clients {
            assert!(client.join().unwrap() > 0);
        }
    });
    assert_eq!(
        sidecar.metric("lictor_ext_authz_checks_total{code=\"\",mode=\"grpc\",outcome=\"error\"}"),
        Some(0.0)
    );
}
