//! TLS and client certificates of the main listener: who may connect, and files that change.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::tls::{Authority, Shown, exchange, put_pair};

use super::decisions::POLICIES;
use super::{pod, publish};

/// The status line of a validation over TLS, or what kept it from being answered.
fn ask(address: SocketAddr, trusted: &Authority, shown: Option<&Shown>) -> Result<String, String> {
    let request = "POST /v1/validate HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                   content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let answer = exchange(address, trusted, shown, request)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

const ANSWERED: &str = "HTTP/1.1 200 OK";

fn until(what: &str, state: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !state() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn clients_show_one_spiffe_id_of_the_trust_domain_and_files_are_followed() {
    let [servers, clients, others] = [(); 3].map(|()| Authority::new());
    let pod = pod(&json!({}));
    pod.put_at("clients.pem", clients.pem.as_bytes());
    put_pair(&pod, &servers.issue(&["localhost"]));
    let path = |name: &str| pod.path(name).display().to_string();
    pod.configure(&json!({
        "cache": {"dir": "none"},
        "sources": [{"url": path("bundles")}],
        "listeners": {
            "http": {
                "address": "127.0.0.1:0",
                "tls_cert_file": path("cert.pem"),
                "tls_key_file": path("key.pem"),
                "client_ca_file": path("clients.pem"),
                "trust_domain": "acme.example",
            },
            "admin": {"address": "127.0.0.1:0"},
        },
    }));
    publish(&pod, 1, POLICIES);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let address = sidecar.http;
    let id = "spiffe://acme.example/ns/a/sa/b";
    let good = clients.issue(&[id]);
    assert_eq!(ask(address, &servers, Some(&good)).unwrap(), ANSWERED);
    let also = clients.issue(&["client.example", id]);
    assert_eq!(ask(address, &servers, Some(&also)).unwrap(), ANSWERED);
    for (what, shown) in [
        ("no certificate", None),
        ("another authority", Some(others.issue(&[id]))),
        ("no SPIFFE id", Some(clients.issue(&["client.example"]))),
        (
            "two SPIFFE ids",
            Some(clients.issue(&[id, "spiffe://acme.example/ns/a/sa/c"])),
        ),
        (
            "another trust domain",
            Some(clients.issue(&["spiffe://other.example/ns/a/sa/b"])),
        ),
        (
            "no workload",
            Some(clients.issue(&["spiffe://acme.example"])),
        ),
        (
            "a plain URI",
            Some(clients.issue(&["https://acme.example/"])),
        ),
    ] {
        assert!(ask(address, &servers, shown.as_ref()).is_err(), "{what}");
    }
    // What is broken changes nothing.
    pod.put_at("cert.pem", b"broken");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(ask(address, &servers, Some(&good)).unwrap(), ANSWERED);
    let next = Authority::new();
    put_pair(&pod, &next.issue(&["localhost"]));
    until("the new certificate", || {
        ask(address, &next, Some(&good)).is_ok()
    });
    assert!(ask(address, &servers, Some(&good)).is_err());
    pod.put_at("clients.pem", others.pem.as_bytes());
    let new = others.issue(&[id]);
    until("the new authority", || {
        ask(address, &next, Some(&new)).is_ok()
    });
    assert!(ask(address, &next, Some(&good)).is_err());
}

#[test]
fn half_a_setting_is_none() {
    for (listener, said) in [
        (
            json!({"client_ca_file": "/ca", "trust_domain": "a"}),
            "tls_cert_file",
        ),
        (
            json!({"client_ca_file": "/ca", "tls_cert_file": "/c", "tls_key_file": "/k"}),
            "trust_domain",
        ),
        (
            json!({"trust_domain": "a", "tls_cert_file": "/c", "tls_key_file": "/k"}),
            "client_ca_file",
        ),
    ] {
        let pod = pod(&json!({"listeners": {"http": listener}}));
        let output = pod.command().output().unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{said}: {error}");
    }
}
