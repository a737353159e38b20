//! The gRPC listener, through a real client.

mod guards;
mod mtls;
mod streams;

use std::net::SocketAddr;

use serde_json::json;

use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

#[test]
fn what_is_no_call_of_ours_is_answered_as_grpc_does() {
    let sidecar = Pod::new().start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let unknown = grpc.call("/no.Such/Method", b"");
    assert_eq!((unknown.status, unknown.code), (200, 12), "{unknown:?}");
    assert!(unknown.text.contains("no.Such"), "{unknown:?}");
    assert_eq!(unknown.headers["content-type"], "application/grpc");
    assert!(unknown.message.is_empty());
    assert_eq!(
        grpc.call("/envoy.service.auth.v3.Authorization/Other", b"")
            .code,
        12
    );
    let json = grpc.call_with(CHECK, &[("content-type", "application/json")], "{}");
    assert_eq!(json.status, 415);
}

#[test]
fn a_message_that_breaks_the_framing_is_refused_and_the_connection_lives() {
    let pod = Pod::new();
    pod.configure(&json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
        "grpc": {"address": "127.0.0.1:0", "max_message_bytes": 16},
    }}));
    let sidecar = pod.start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    for (what, body, code) in [
        ("nothing", &b""[..], 13),
        ("half a prefix", b"\0\0", 13),
        ("a short message", b"\0\0\0\0\x05abc", 13),
        ("two messages", b"\0\0\0\0\0\0\0\0\0\0", 13),
        ("compressed", b"\x01\0\0\0\x01a", 12),
        ("announced too large", b"\0\0\0\0\x11a", 8),
    ] {
        assert_eq!(grpc.call_with(CHECK, &[], body).code, code, "{what}");
    }
    assert_eq!(grpc.call(CHECK, &[0; 17]).code, 8, "too large");
    for (timeout, code) in [("1n", 4), ("x", 3)] {
        let ended = grpc.call_with(CHECK, &[("grpc-timeout", timeout)], framed(b""));
        assert_eq!(ended.code, code, "{timeout}");
    }
    let check = b"\x0a\x07\x22\x05\x12\x03\x22\x01/";
    assert_eq!(grpc.call(CHECK, check).code, 14, "no policy, no answer");
}

#[test]
fn a_unix_socket_serves_grpc_and_the_tcp_address_can_be_left_out() {
    let pod = Pod::new();
    pod.configure(&json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
        "grpc": {"address": null, "unix": pod.path("grpc.sock")},
    }}));
    let mut process = crate::support::Lictor::spawn(&mut pod.command());
    let _: SocketAddr = process.address("http");
    let mut grpc = Grpc::unix(&pod.path("grpc.sock"));
    assert_eq!(grpc.call("/no.Such/Method", b"").code, 12);
}
