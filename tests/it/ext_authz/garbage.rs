//! What no Envoy sends: each with the protocol's own error, and the same connection, or the next, decides on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lictor::policy::Format;
use prost::Message as _;
use serde_json::json;

use super::{CHECK, auth, check, http, request};
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICY: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: web}
spec:
  http:
    - id: public
      effect: allow
      paths: ["/public/{rest*}"]
    - id: echo
      effect: allow
      paths: ["/echo"]
      on_allow:
        set_headers: {x-echo: "http.headers['x-in']"}
    - id: metadata
      effect: allow
      paths: ["/metadata"]
      condition: metadata.filter_metadata.ns.a == "b" && extensions.tier == "gold" && source.port == 8080
"#;

fn start() -> Sidecar {
    let pod = Pod::new();
    pod.configure(&json!({
        "listeners": {
            "http": {"address": "127.0.0.1:0"},
            "admin": {"address": "127.0.0.1:0"},
            "grpc": {"address": "127.0.0.1:0", "max_pending_resets": 8},
        },
        "limits": {"header_timeout": "1s", "body_timeout": "1s"},
    }));
    let documents = documents(POLICY, Format::Yaml);
    pod.put(&bundle_of(1, documents, &[], &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn public() -> auth::CheckRequest {
    request("GET", "/public/a", &[("x-a".to_owned(), "b".to_owned())])
}

/// Whether the gate is open for what may pass.
fn decides(grpc: &mut Grpc) -> bool {
    check(grpc, &public()).is_ok_and(|answer| answer.status.unwrap().code == 0)
}

#[test]
fn messages_that_are_none_are_invalid_arguments() {
    let sidecar = start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let whole = public().encode_to_vec();
    for length in 1..whole.len() {
        let ended = grpc.call(CHECK, &whole[..length]);
        assert_eq!(ended.code, 3, "{length}: {ended:?}");
    }
    for (what, message) in [
        ("no tag", &b"\0"[..]),
        ("another wire type", b"\x08\x01"),
        (
            "invalid UTF-8 in a path",
            b"\x0a\x07\x22\x05\x12\x03\x22\x01\xff",
        ),
        ("a group without an end", b"\x1b"),
        ("a length beyond the end", b"\x0a\xff\xff\xff\xff\x0f"),
    ] {
        assert_eq!(grpc.call(CHECK, message).code, 3, "{what}");
    }
    // An unknown field is none of our business.
    let mut unknown = whole;
    unknown.extend_from_slice(b"\xfa\x3f\x03abc");
    assert_eq!(grpc.call(CHECK, &unknown).code, 0);
    assert!(decides(&mut grpc));
    let refused = "lictor_ext_authz_errors_total{reason=\"invalid_request\"}";
    assert!(sidecar.metric(refused).unwrap() > 5.0);
    let allowed = "lictor_ext_authz_checks_total{code=\"\",mode=\"grpc\",outcome=\"allowed\"}";
    assert_eq!(sidecar.metric(allowed), Some(2.0));
}

#[test]
fn paths_and_hosts_without_a_canonical_form_are_denied() {
    let sidecar = start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    for path in [
        "/public/../a",
        "/public/%2e%2e/a",
        "/public//a",
        "/public/%2fa",
        "/public/%00",
        "/public\\a",
        "/public;a/b",
        "/public/%zz",
        "public/a",
        "",
    ] {
        let answer = check(&mut grpc, &request("GET", path, &[])).unwrap();
        assert_eq!(answer.status.clone().unwrap().code, 7, "{path}");
        let Some(auth::check_response::HttpResponse::DeniedResponse(denied)) = answer.http_response
        else {
            panic!("{path}: {answer:?}");
        };
        assert_eq!(denied.status.unwrap().code, 400, "{path}");
    }
    let mut host = public();
    http(&mut host).host = "a@b".into();
    assert_eq!(check(&mut grpc, &host).unwrap().status.unwrap().code, 7);
    assert!(decides(&mut grpc));
}

#[test]
fn a_value_with_control_characters_is_never_sent() {
    let sidecar = start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let echo = |value: &str| {
        let header = ("x-in".to_owned(), value.to_owned());
        request("GET", "/echo", &[header])
    };
    let code = |grpc: &mut Grpc, value: &str| {
        let answer = check(grpc, &echo(value)).unwrap();
        answer.status.unwrap().code
    };
    assert_eq!(code(&mut grpc, "ok"), 0);
    for value in ["a\r\nx-evil: 1", "\0", "a\u{7f}"] {
        assert_eq!(code(&mut grpc, value), 7, "{value:?}");
    }
}

#[test]
fn what_envoy_says_beside_the_request_is_read() {
    let sidecar = start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let mut asked = request("GET", "/metadata", &[]);
    assert_eq!(check(&mut grpc, &asked).unwrap().status.unwrap().code, 7);
    let attributes = asked.attributes.as_mut().unwrap();
    attributes
        .context_extensions
        .insert("tier".into(), "gold".into());
    attributes.source = Some(super::context::Peer {
        address: Some(super::core::Address {
            address: Some(super::core::address::Address::SocketAddress(
                super::core::SocketAddress {
                    address: "10.0.0.1".into(),
                    port_specifier: Some(super::core::socket_address::PortSpecifier::PortValue(
                        8080,
                    )),
                    ..super::core::SocketAddress::default()
                },
            )),
        }),
        ..super::context::Peer::default()
    });
    let text = prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue("b".into())),
    };
    let fields = [("a".to_owned(), text)].into();
    attributes.metadata_context = Some(super::core::Metadata {
        filter_metadata: [("ns".to_owned(), prost_types::Struct { fields })].into(),
        ..super::core::Metadata::default()
    });
    assert_eq!(check(&mut grpc, &asked).unwrap().status.unwrap().code, 0);
    // Metadata beyond what a decision may read is no decision, and no yes.
    let large = prost_types::Value {
        kind: Some(prost_types::value::Kind::StringValue("x".repeat(2_000_000))),
    };
    let metadata = asked.attributes.as_mut().unwrap().metadata_context.as_mut();
    metadata
        .unwrap()
        .filter_metadata
        .get_mut("ns")
        .unwrap()
        .fields
        .insert("large".into(), large);
    assert_eq!(check(&mut grpc, &asked).unwrap_err().code, 8);
    assert!(decides(&mut grpc));
}

#[test]
fn a_connection_that_never_says_what_it_speaks_is_closed() {
    let sidecar = start();
    let mut silent = TcpStream::connect(sidecar.grpc).unwrap();
    silent.write_all(b"PRI * HTTP/2.0").unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let started = Instant::now();
    let mut rest = Vec::new();
    // Closed by the other side, in one way or another.
    let _ = silent.read_to_end(&mut rest);
    assert!(started.elapsed() < Duration::from_secs(25));
    assert!(decides(&mut Grpc::tcp(sidecar.grpc)));
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// `POST /` without the fields that need a table.
const HEADERS: &[u8] = b"\x83\x86\x84\x41\x01a";

#[test]
fn floods_end_their_own_connection_alone() {
    let sidecar = start();
    let mut bystander = Grpc::tcp(sidecar.grpc);
    assert!(decides(&mut bystander));
    let reset = |stream: u32| {
        let mut frames = frame(1, 4, stream, HEADERS);
        frames.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        frames
    };
    let floods: [(&str, Vec<u8>); 4] = [
        (
            "resets",
            (0..20_000).flat_map(|n| reset(2 * n + 1)).collect(),
        ),
        (
            "settings",
            frame(4, 0, 0, b"\0\x03\0\0\0\x01").repeat(20_000),
        ),
        ("garbage", b"\xff".repeat(100_000)),
        ("continuations", {
            let mut frames = frame(1, 0, 1, HEADERS);
            let padding = b"\0\x01a\x01b".repeat(2000);
            frames.extend(frame(9, 0, 1, &padding).repeat(200));
            frames
        }),
    ];
    for (what, flood) in floods {
        let mut stream = TcpStream::connect(sidecar.grpc).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        stream.write_all(&frame(4, 0, 0, b"")).unwrap();
        // The other side may close before it has read all of it, or never read what we do not read.
        let _ = stream.write_all(&flood);
        assert!(decides(&mut bystander), "{what}");
        drop(stream);
        assert!(decides(&mut bystander), "{what}");
    }
    let mut next = Grpc::tcp(sidecar.grpc);
    assert!(decides(&mut next));
}

#[test]
fn a_deadline_that_has_passed_is_no_answer() {
    let sidecar = start();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let body = framed(&public().encode_to_vec());
    let ended = grpc.call_with(CHECK, &[("grpc-timeout", "1n")], body.clone());
    assert_eq!(ended.code, 4);
    let ended = grpc.call_with(CHECK, &[("grpc-timeout", "10S")], body);
    assert_eq!(ended.code, 0);
    let reason = "lictor_ext_authz_errors_total{reason=\"check_request_timeout\"}";
    assert_eq!(sidecar.metric(reason), Some(1.0));
}
