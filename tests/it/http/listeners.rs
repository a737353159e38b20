//! The bounds of the main listener, each at its edge: connections, waiters, a batch's time, silence; and TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::support::Http;
use crate::support::sidecar::Sidecar;

use super::decisions::POLICIES;
use super::{deciding, pod, publish};

const GOOD: &str = r#"{"environment":"test"}"#;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_mins(1));
    stream.set_read_timeout(patience).unwrap();
    stream
}

fn request(headers: &str) -> String {
    format!(
        "POST /v1/validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{GOOD}",
        GOOD.len()
    )
}

/// Everything until the other side closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer's first line, at least.
fn first_line(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).unwrap_or(0);
    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn connections_beyond_the_limit_are_closed_at_once() {
    let sidecar = deciding(POLICIES, &json!({"limits": {"connections": 2}}));
    let open = || {
        let mut stream = connect(sidecar.http);
        let _ = stream.write_all(request("").as_bytes());
        let line = first_line(&mut stream);
        (stream, line)
    };
    let held: Vec<_> = (0..2).map(|_| open()).collect();
    assert!(held.iter().all(|(_, line)| line == "HTTP/1.1 200 OK"));
    let (_, refused) = open();
    assert_eq!(refused, "", "the third is closed without a word");
    drop(held);
    sidecar.wait_for("room for a connection", |_| open().1 == "HTTP/1.1 200 OK");
}

#[test]
fn sixty_four_requests_may_wait_for_a_revision_and_no_more() {
    const WAITERS: usize = 64;
    const MORE: usize = 6;
    let sidecar = deciding(POLICIES, &json!({}));
    let (sender, answers) = mpsc::channel();
    for _ in 0..WAITERS + MORE {
        let (sender, address) = (sender.clone(), sidecar.http);
        std::thread::spawn(move || {
            let mut http = Http::tcp(address);
            let headers = [
                ("content-type", "application/json"),
                ("x-lictor-min-revision", "2"),
                ("prefer", "wait=30"),
            ];
            let _ = sender.send(http.send("POST", "/v1/validate", &headers, GOOD).status);
        });
    }
    let next = || answers.recv_timeout(Duration::from_mins(1)).unwrap();
    // Nobody is refused before all places are taken.
    for _ in 0..MORE {
        assert_eq!(next(), 503);
    }
    publish(&sidecar.pod, 2, POLICIES);
    sidecar.sync();
    for _ in 0..WAITERS {
        assert_eq!(next(), 200);
    }
}

#[test]
fn a_batch_that_takes_too_long_is_ended() {
    let sidecar = deciding(
        POLICIES,
        &json!({"limits": {"batch_time": "1ms", "batch_items": 20_000}}),
    );
    let item = r#"{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"record","id":"1"}}"#;
    let batch = |count: usize| format!("{{\"evaluations\":[{}]}}", vec![item; count].join(","));
    let answer = sidecar.post("/access/v1/evaluations", &batch(9_000));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(
        answer.json().as_str().unwrap().contains("items were"),
        "{}",
        answer.text()
    );
    assert_eq!(sidecar.post("/v1/validate", GOOD).status, 200);
}

#[test]
fn silence_is_cut_off_and_work_is_not() {
    let sidecar = deciding(POLICIES, &json!({"limits": {"header_timeout": "400ms"}}));
    // A kept connection that has been used.
    let mut idle = connect(sidecar.http);
    let began = Instant::now();
    idle.write_all(request("").as_bytes()).unwrap();
    assert_eq!(first_line(&mut idle), "HTTP/1.1 200 OK");
    assert_eq!(rest(&mut idle), "");
    assert!(began.elapsed() >= Duration::from_millis(400), "never early");
    // A head that comes byte by byte gains no time.
    let mut trickling = connect(sidecar.http);
    let mut written = 0;
    for byte in request("").as_bytes().iter().cycle().take(1000) {
        if trickling.write_all(&[*byte]).is_err() {
            break;
        }
        written += 1;
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(written < 400, "{written} bytes of a head were waited for");
    // A request that is being answered may take longer than that.
    let began = Instant::now();
    let answer = sidecar.post_with(
        "/v1/validate",
        &[("x-lictor-min-revision", "2"), ("prefer", "wait=1")],
        GOOD,
    );
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(began.elapsed() >= Duration::from_millis(990));
}

fn with_tls(names: &[&str]) -> (Sidecar, Arc<ClientConfig>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    let pod = pod(&json!({}));
    let (chain, key) = (pod.path("chain.pem"), pod.path("key.pem"));
    std::fs::write(&chain, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = json!({
        "cache": {"dir": "none"},
        "sources": [{"url": pod.path("bundles")}],
        "limits": {"header_timeout": "400ms"},
        "listeners": {
            "http": {"address": "127.0.0.1:0", "tls_cert_file": chain, "tls_key_file": key},
            "grpc": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
        },
    });
    pod.configure(&tls);
    publish(&pod, 1, POLICIES);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let mut roots = RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (sidecar, Arc::new(client))
}

#[test]
fn decisions_are_served_over_tls_and_over_nothing_else_there() {
    let (sidecar, client) = with_tls(&["localhost"]);
    let ask = |name: &'static str| -> std::io::Result<String> {
        let name = ServerName::try_from(name).unwrap();
        let connection =
            ClientConnection::new(Arc::clone(&client), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(connection, connect(sidecar.http));
        stream.write_all(request("connection: close\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = ask("localhost").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"compliant\":"), "{answer}");
    assert!(
        ask("other.example").is_err(),
        "a name that is not the certificate's"
    );
    // Plain text there is no request.
    let mut plain = connect(sidecar.http);
    plain.write_all(request("").as_bytes()).unwrap();
    assert!(!rest(&mut plain).contains("HTTP/1.1 200"));
    // Nor is a handshake waited for longer than a head.
    assert_eq!(rest(&mut connect(sidecar.http)), "");
    assert!(ask("localhost").unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn decisions_are_recorded_with_their_callers_and_reach_the_file_at_the_end() {
    let pod = pod(&json!({}));
    let file = pod.path("decisions.jsonl");
    let config = json!({
        "cache": {"dir": "none"},
        "sources": [{"url": pod.path("bundles")}],
        "listeners": {
            "http": {"address": "127.0.0.1:0"},
            "grpc": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
        },
        "decision_log": {"file": file, "content": "full"},
    });
    pod.configure(&config);
    publish(&pod, 1, POLICIES);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("x-request-id", "r-1"), ("traceparent", traceparent)];
    let answer = sidecar.post_with("/v1/validate", &headers, GOOD);
    assert_eq!(answer.status, 200);
    assert_eq!(sidecar.post("/v1/validate", "{\"a\":").status, 400);
    sidecar.process.signal("TERM");
    assert!(sidecar.process.exit().success());
    let text = std::fs::read_to_string(sidecar.pod.path("decisions.jsonl")).unwrap();
    let mut lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Each serving thread has a buffer of its own.
    lines.sort_by_key(|line| line["outcome"] == "error");
    assert_eq!(lines.len(), 2, "{text}");
    let (decided, failed) = (&lines[0], &lines[1]);
    assert_eq!(decided["decision_id"], answer.json()["decision_id"]);
    assert_eq!(decided["revision"], answer.json()["revision"]);
    assert_eq!(decided["result"], answer.json());
    assert_eq!(decided["input"], json!({"environment": "test"}));
    assert_eq!(decided["path"], "v1/validate");
    assert_eq!(decided["request_id"], "r-1");
    assert_eq!(decided["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let peer: SocketAddr = decided["requested_by"].as_str().unwrap().parse().unwrap();
    assert!(peer.ip().is_loopback());
    assert_eq!(failed["error"]["code"], "invalid_json");
    assert!(failed.get("input").is_none(), "{failed}");
}
