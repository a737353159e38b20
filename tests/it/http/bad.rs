//! What comes in and should not: each is refused by name, and the sidecar goes on deciding.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::json;

use crate::support::{Http, lictor, scratch};

use super::decisions::POLICIES;
use super::{deciding, problem};

const GOOD: &str = r#"{"environment":"test"}"#;

/// Sends bytes as they are and reads until the other side closes.
fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    // What is refused early may be cut off while it is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bad_bodies_are_refused() {
    let sidecar = deciding(
        POLICIES,
        &json!({"limits": {"body_bytes": "64KiB", "input_depth": 16}}),
    );
    for path in [
        "/v1/validate",
        "/v1/access/check",
        "/v1/consumption/validate",
        "/v1/variant",
    ] {
        for body in [
            "",
            "{",
            "nonsense",
            "{\"a\":}",
            "{\"a\":1}x",
            "\u{0}",
            "{\"environment\": \"\\ud800\"}",
        ] {
            let document = problem(&sidecar.post(path, body), 400, "invalid_json");
            assert_eq!(document["instance"], path);
        }
        let deep = format!("{}{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        problem(&sidecar.post(path, &deep), 400, "invalid_json");
        for content_type in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
        ] {
            let answer = sidecar
                .http()
                .send("POST", path, &[("content-type", content_type)], GOOD);
            problem(&answer, 415, "unsupported_media_type");
        }
        problem(
            &sidecar.http().send("POST", path, &[], GOOD),
            415,
            "unsupported_media_type",
        );
    }
    let invalid = [
        (
            "/v1/access/check",
            r#"{"user_id":7,"service_id":"s","action":"a"}"#,
        ),
        ("/v1/access/check", r#"{"service_id":"s","action":"a"}"#),
        ("/v1/validate", "[]"),
    ];
    for (path, body) in invalid {
        let answer = sidecar.post(path, body);
        assert_eq!(answer.status, 400, "{path} {body}: {}", answer.text());
    }
    let twice = r#"{"environment":"test","environment":"production"}"#;
    problem(&sidecar.post("/v1/validate", twice), 400, "invalid_json");
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
}

#[test]
fn large_bodies_are_refused_without_being_read() {
    let sidecar = deciding(POLICIES, &json!({}));
    // Announced: the answer comes although the body never does.
    let head =
        "POST /v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let announced = raw(
        sidecar.http,
        format!("{head}content-length: 10485760\r\n\r\n").as_bytes(),
    );
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    assert!(
        announced.contains("\"code\":\"payload_too_large\""),
        "{announced}"
    );
    // Sent whole all the same: the answer is read, and not a reset.
    let mut whole = format!("{head}content-length: 10485760\r\n\r\n").into_bytes();
    whole.resize(whole.len() + (10 << 20), b' ');
    let answer = raw(sidecar.http, &whole);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Not announced: refused as soon as the limit is passed.
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..160 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&vec![b' '; 65_536]);
        chunked.extend_from_slice(b"\r\n");
    }
    let mut stream = TcpStream::connect(sidecar.http).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || writer.write_all(&chunked).is_ok());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop(stream);
    sending.join().unwrap();
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
}

#[test]
fn unknown_routes_and_methods_are_refused() {
    let sidecar = deciding(POLICIES, &json!({}));
    for path in ["/nope", "/v1", "/v2/data", "/healthy", "/api/v2/x"] {
        problem(&sidecar.http().get(path), 404, "not_found");
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = sidecar.http().send(method, "/v1/validate", &[], "");
        problem(&answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    // Nobody to forward to.
    problem(
        &sidecar.http().get("/api/v1/policies"),
        503,
        "upstream_unavailable",
    );
    problem(
        &sidecar.http().get("/.well-known/authzen-configuration/x"),
        404,
        "not_found",
    );
}

#[test]
fn heads_are_bounded() {
    let sidecar = deciding(
        POLICIES,
        &json!({"limits": {"header_bytes": "16KiB", "uri_bytes": "1KiB"}}),
    );
    let long = format!("/v1/validate?{}", "x".repeat(2000));
    problem(&sidecar.post(&long, GOOD), 414, "uri_too_long");
    let large = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    assert!(raw(sidecar.http, large.as_bytes()).starts_with("HTTP/1.1 431 "));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "x-many: 1\r\n".repeat(200)
    );
    assert!(raw(sidecar.http, many.as_bytes()).starts_with("HTTP/1.1 431 "));
    assert!(raw(sidecar.http, b"\x16\x03\x01 nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
}

#[test]
fn slow_clients_are_cut_off() {
    let sidecar = deciding(
        POLICIES,
        &json!({"limits": {"header_timeout": "300ms", "body_timeout": "300ms"}}),
    );
    let head = raw(sidecar.http, b"POST /v1/validate HTTP/1.1\r\nhost: loc");
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    let body = raw(
        sidecar.http,
        b"POST /v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{\"a\"",
    );
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert!(body.contains("\"code\":\"request_timeout\""), "{body}");
    // An idle connection is closed without a word.
    assert_eq!(raw(sidecar.http, b""), "");
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
}

#[test]
fn callers_from_elsewhere_are_refused() {
    let sidecar = deciding(POLICIES, &json!({}));
    let with = |name, value| sidecar.post_with("/v1/validate", &[(name, value)], GOOD);
    problem(&with("host", "evil.example"), 403, "permission_denied");
    problem(
        &with("origin", "https://evil.example"),
        403,
        "permission_denied",
    );
    assert_eq!(with("origin", "https://console.example").status, 200);
    assert_eq!(with("host", "localhost:1").status, 200);
    problem(&with("x-tenant-id", "other"), 403, "permission_denied");
    assert_eq!(with("x-tenant-id", "acme").status, 200);
    let upward = sidecar
        .http()
        .send("GET", "/api/v1/policies", &[("x-tenant-id", "other")], "");
    problem(&upward, 403, "permission_denied");

    let socket = sidecar.pod.path("http.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let json = [("content-type", "application/json"), ("host", "any.name")];
    let answer = Http::unix(&socket).send("POST", "/v1/validate", &json, GOOD);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_configuration_that_means_nothing_is_refused() {
    let folder = scratch();
    let path = folder.path().join("sidecar.yaml");
    let check = |text: &str, environment: &[(&str, &str)]| {
        std::fs::write(&path, text).unwrap();
        let output = lictor()
            .args(["sidecar", "config", "check", "--config"])
            .arg(&path)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let good = "tenant: acme\nkeyring: /k\ncache: {dir: none}\nsources: [{url: /b}]\n";
    assert_eq!(check(good, &[]).0, Some(0));
    for (text, environment, expected) in [
        (
            format!("{good}limit: {{steps: 1}}\n"),
            vec![],
            "unknown key `limit`: did you mean `limits`?",
        ),
        (
            format!("{good}limits: {{step: 1}}\n"),
            vec![],
            "did you mean `steps`?",
        ),
        (
            good.to_owned(),
            vec![("LICTOR_LIMITS__STEPZ", "1")],
            "did you mean `LICTOR_LIMITS__STEPS`?",
        ),
        (
            good.to_owned(),
            vec![("LICTOR_LIMITS__STEPS", "many")],
            "`many` is not a whole number",
        ),
        (
            format!("{good}fail_open: [everything]\n"),
            vec![],
            "`everything` is not known here",
        ),
        (
            format!("{good}listeners: {{http: {{address: '0.0.0.0:8181'}}}}\n"),
            vec![],
            "beyond loopback and without TLS",
        ),
    ] {
        let (code, stderr) = check(&text, &environment);
        assert_eq!(code, Some(1), "{expected}: {stderr}");
        assert!(stderr.contains(expected), "{expected}\nin\n{stderr}");
    }
}
