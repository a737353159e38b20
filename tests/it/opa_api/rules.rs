//! What a sidecar answers of itself, and to what no client of good will sends.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::{Answer, Http};

use super::{DATA, MODULE, rego_bundle, send, sidecar, start};

fn post_with(sidecar: &Sidecar, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    Http::tcp(sidecar.http).send("POST", "/v1/data/shop/echo", headers, body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_decision_names_what_decided_in_headers() {
    let sidecar = sidecar(&[]);
    let paths = [
        "/v1/data/shop/allow",
        "/v1/data/nowhere",
        "/v0/data/shop/nobody",
        "/",
    ];
    for path in paths {
        let answer = send(&sidecar, "POST", path, "{}");
        assert_eq!(answer.header("x-lictor-decision-id").len(), 36, "{path}");
        assert!(
            answer.header("x-lictor-revision").starts_with("1-"),
            "{path}"
        );
        assert!(!answer.header("x-lictor-bundle-age").is_empty(), "{path}");
        // Without decision logs the body does not.
        assert!(!answer.text().contains("decision_id"), "{path}");
    }
    let mut http = sidecar.http();
    let answer = http.send("GET", "/v1/data/count", &[("x-request-id", "abc")], "");
    assert_eq!(answer.header("x-request-id"), "abc");
}

#[test]
fn without_a_bundle_there_is_no_answer_that_could_be_a_yes() {
    let pod = Pod::new();
    let sidecar = pod.start();
    for (method, path) in [
        ("POST", "/v1/data/shop/allow"),
        ("GET", "/v1/data"),
        ("POST", "/v0/data/shop/allow"),
        ("POST", "/"),
        ("GET", "/v1/query?q=true"),
    ] {
        let answer = send(&sidecar, method, path, "");
        assert_eq!(answer.status, 503, "{method} {path}");
        assert_eq!(answer.json()["code"], "internal_error");
        assert_eq!(answer.header("retry-after"), "1");
    }
    // The process itself is well, its bundle is not there.
    assert_eq!(send(&sidecar, "GET", "/health", "").status, 200);
    let answer = send(&sidecar, "GET", "/health?bundles", "");
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.text(),
        "{\"error\":\"one or more bundles are not activated: main\"}\n"
    );
    assert_eq!(send(&sidecar, "GET", "/health?plugins", "").status, 500);
    let excluded = send(&sidecar, "GET", "/health?plugins&exclude-plugin=bundle", "");
    assert_eq!(excluded.status, 200);
    assert_eq!(
        send(&sidecar, "GET", "/v1/policies", "").text(),
        "{\"result\":[]}\n"
    );
    assert_eq!(send(&sidecar, "PUT", "/v1/data/a", "1").status, 400);
}

#[test]
fn base_data_is_served_where_no_rego_is_loaded() {
    let pod = Pod::new();
    pod.put(&rego_bundle(1, &[], DATA));
    let sidecar = start(&pod, &[]);
    let answer = send(&sidecar, "GET", "/v1/data/roles/bob/0", "");
    assert_eq!(answer.text(), "{\"result\":\"clerk\"}\n");
    assert_eq!(
        send(&sidecar, "GET", "/v1/data/shop/allow", "").text(),
        "{}\n"
    );
}

#[test]
fn a_health_policy_is_asked() {
    const HEALTH: &str = "package system.health

live if true

ready if {
	input.plugin_state.bundle == \"OK\"
	input.plugins_ready
}

sick := false
";
    let pod = Pod::new();
    pod.put(&rego_bundle(1, &[("health.rego", HEALTH)], "{}"));
    let sidecar = start(&pod, &[]);
    for (path, status, text) in [
        ("/health/live", 200, "{}\n"),
        ("/health/ready", 200, "{}\n"),
        (
            "/health/sick",
            500,
            "{\"error\":\"health check (data.system.health.sick) returned unexpected value\"}\n",
        ),
        (
            "/health/none",
            500,
            "{\"error\":\"health check (data.system.health.none) was undefined\"}\n",
        ),
    ] {
        let answer = send(&sidecar, "GET", path, "");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{path}"
        );
    }
}

#[test]
fn policies_are_listed_as_they_were_loaded() {
    let sidecar = sidecar(&[]);
    let list = send(&sidecar, "GET", "/v1/policies", "").json();
    let first = &list["result"][0];
    assert_eq!(first["id"], "main/shop/shop.rego");
    assert_eq!(first["raw"], MODULE);
    let one = send(&sidecar, "GET", "/v1/policies/main/shop/shop.rego", "").json();
    assert_eq!(one["result"], *first);
}

#[test]
fn an_explanation_names_rules_and_what_they_ran_on() {
    let sidecar = sidecar(&[]);
    let path = "/v1/data/shop?explain=full";
    let answer = send(&sidecar, "POST", path, r#"{"input": {"user": "alice"}}"#).json();
    let events = answer["explanation"].as_array().unwrap();
    let of = |rule: &str| {
        events
            .iter()
            .find(|event| event["node"]["path"] == rule)
            .unwrap_or_else(|| panic!("{rule}: {answer:#}"))
    };
    assert_eq!(of("data.shop.allow")["op"], "exit");
    assert_eq!(of("data.shop.quotient")["op"], "fail");
    let engine = of("data.shop.allow")["message"].as_str().unwrap();
    assert!(
        engine == "register machine" || engine.starts_with("interpreter"),
        "{engine}"
    );
    let path = "/v1/data/shop/allow?explain=full&pretty";
    let answer = send(&sidecar, "POST", path, r#"{"input": {"user": "alice"}}"#).json();
    let line = answer["explanation"][0].as_str().unwrap();
    assert!(line.starts_with("Exit data.shop.allow"), "{line}");
}

#[test]
fn compressed_bodies_are_read_within_their_limit() {
    let sidecar = sidecar(&[]);
    let packed: &[(&str, &str)] = &[("content-encoding", "gzip")];
    let body = gzip(br#"{"input": "packed"}"#);
    let answer = post_with(&sidecar, packed, body.clone());
    assert_eq!(answer.text(), "{\"result\":\"packed\"}\n");
    // Cut off, and with rubbish behind it.
    for bad in [
        body[..body.len() - 4].to_vec(),
        [&body[..], b"xyz"].concat(),
    ] {
        let answer = post_with(&sidecar, packed, bad);
        assert_eq!(answer.status, 400);
        assert!(
            answer.text().contains("could not decompress the body"),
            "{}",
            answer.text()
        );
    }
    // A thousandth of what it unpacks to.
    let bomb = gzip(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let answer = post_with(&sidecar, packed, bomb);
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("server.decoding.gzip.max_length"),
        "{}",
        answer.text()
    );
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_and_disturbs_nobody() {
    let sidecar = sidecar(&[]);
    let large = vec![b' '; 1024 * 1024 + 1];
    let answer = post_with(&sidecar, &[], large);
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("server.decoding.max_length"),
        "{}",
        answer.text()
    );
    for depth in [65, 5000, 20_000, 300_000] {
        let nested = [
            b"{\"input\":".to_vec(),
            vec![b'['; depth],
            vec![b']'; depth],
            b"}".to_vec(),
        ];
        let answer = post_with(&sidecar, &[], nested.concat());
        assert_eq!(answer.status, 400, "{depth}");
        assert_eq!(answer.json()["code"], "invalid_parameter", "{depth}");
    }
    let yaml: &[(&str, &str)] = &[("content-type", "application/yaml")];
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 10].join(",");
        let _ = writeln!(bomb, "a{level}: &a{level} [{inner}]");
    }
    bomb.push_str("input: *a8\n");
    assert_eq!(post_with(&sidecar, yaml, bomb.into_bytes()).status, 400);
    let long = format!("/v1/data/{}", "a".repeat(9000));
    let answer = Http::tcp(sidecar.http).get(&long);
    assert_eq!(answer.status, 414);
    // And all is well.
    let answer = send(
        &sidecar,
        "POST",
        "/v1/data/shop/allow",
        r#"{"input": {"user": "alice"}}"#,
    );
    assert_eq!(answer.text(), "{\"result\":true}\n");
}

#[test]
fn strangers_are_turned_away_in_opas_shape() {
    let sidecar = sidecar(&[]);
    for headers in [
        [("origin", "https://evil.example")],
        [("host", "evil.example")],
        [("x-tenant-id", "other")],
    ] {
        let answer = Http::tcp(sidecar.http).send("GET", "/v1/data/count", &headers, "");
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.json()["code"], "unauthorized", "{headers:?}");
    }
}

#[test]
fn writes_are_never_forwarded() {
    let pod = Pod::new();
    pod.put(&rego_bundle(1, &[("shop/shop.rego", MODULE)], DATA));
    // Nobody listens there: a forwarded write would be 503.
    pod.configure(&serde_json::json!({"upstream": {"url": "http://127.0.0.1:9"}}));
    let sidecar = start(&pod, &[]);
    for (method, path) in [
        ("PUT", "/v1/data/a"),
        ("PATCH", "/v1/data/a"),
        ("DELETE", "/v1/data/a"),
        ("PUT", "/v1/policies/a"),
        ("DELETE", "/v1/policies/main/shop/shop.rego"),
    ] {
        let body = if method == "PATCH" { "[]" } else { "{}" };
        let answer = send(&sidecar, method, path, body);
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text());
        assert_eq!(
            answer.json()["message"],
            "all paths owned by bundle \"main\""
        );
    }
}

#[test]
fn requests_are_measured_under_opas_names_on_both_pages() {
    let sidecar = sidecar(&[]);
    send(&sidecar, "POST", "/v1/data/shop/allow", "{}");
    send(&sidecar, "POST", "/v1/data/shop/allow", "{");
    send(&sidecar, "DELETE", "/v1/data", "");
    let main = sidecar.http().get("/metrics");
    assert!(main.header("content-type").starts_with("text/plain"));
    for page in [main.text(), sidecar.metrics()] {
        for line in [
            r#"http_request_duration_seconds_count{code="200",handler="v1/data",method="post"} 1"#,
            r#"http_request_duration_seconds_count{code="400",handler="v1/data",method="post"} 1"#,
            r#"http_request_duration_seconds_count{code="405",handler="catchall",method="delete"} 1"#,
            r#"lictor_decisions_total{kind="rego",outcome="negative"} 1"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
    let bytes = sidecar.http().get("/metrics/alloc_bytes").text();
    assert!(bytes.parse::<u64>().unwrap() > 1_000_000, "{bytes}");
}
