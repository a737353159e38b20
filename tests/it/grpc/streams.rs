//! Streams that go wrong: reset midway, with more metadata than is read, half of a message. Nothing else is disturbed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lictor::policy::Format;
use prost::Message as _;

use crate::ext_authz;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: open}
spec:
  http: [{id: all, effect: allow, paths: ["/{any*}"]}]
"#;

const ENGINE: &str = "/policyengine.v1.PolicyEngineService/ValidateService";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const PATHS: [&str; 3] = [ext_authz::CHECK, ENGINE, HEALTH];

fn deciding() -> Sidecar {
    let pod = Pod::new();
    let policies = documents(POLICIES, Format::Yaml);
    pod.put(&bundle_of(1, policies, &[], &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn message(path: &str) -> Vec<u8> {
    if path == ext_authz::CHECK {
        ext_authz::request("GET", "/a", &[]).encode_to_vec()
    } else {
        Vec::new()
    }
}

/// HTTP/2 written by hand.
struct Raw {
    stream: TcpStream,
    next: u32,
}

impl Raw {
    fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut raw = Self { stream, next: 1 };
        raw.frame(4, 0, 0, b"");
        raw
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend_from_slice(&[kind, flags]);
        out.extend_from_slice(&stream.to_be_bytes());
        out.extend_from_slice(payload);
        self.stream.write_all(&out).unwrap();
    }

    /// The head of a call, without its end.
    fn begin(&mut self, path: &str) -> u32 {
        let mut block = vec![0x83, 0x86, 0x04, path.len() as u8];
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(b"\x01\x09localhost");
        block.extend_from_slice(b"\x0f\x10\x10application/grpc");
        let id = self.next;
        self.next += 2;
        self.frame(1, 4, id, &block);
        id
    }

    /// Whether the connection lives: a ping comes back.
    fn pings(&mut self) -> bool {
        self.frame(6, 0, 0, b"lictor!!");
        loop {
            let mut head = [0; 9];
            if self.stream.read_exact(&mut head).is_err() {
                return false;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).unwrap();
            match head[3] {
                6 if head[4] & 1 == 1 => return payload == b"lictor!!",
                // The other side has had enough of us.
                7 => return false,
                _ => {}
            }
        }
    }
}

#[test]
fn a_call_that_is_reset_midway_disturbs_no_other() {
    let sidecar = deciding();
    let mut bystander = Grpc::tcp(sidecar.grpc);
    let mut raw = Raw::connect(sidecar.grpc);
    for path in PATHS {
        let whole = framed(&message(path));
        for sent in 0..=whole.len().min(6) {
            let id = raw.begin(path);
            raw.frame(0, 0, id, &whole[..sent]);
            raw.frame(3, 0, id, &8_u32.to_be_bytes());
            assert!(raw.pings(), "{path} after {sent} bytes");
            assert_eq!(bystander.call(path, &message(path)).code, 0, "{path}");
        }
        // One that never ends is ended with its connection.
        raw.begin(path);
    }
    drop(raw);
    for path in PATHS {
        assert_eq!(bystander.call(path, &message(path)).code, 0, "{path}");
    }
}

#[test]
fn more_metadata_than_is_read_ends_its_own_call_alone() {
    let sidecar = deciding();
    let long = "x".repeat(100_000);
    for path in PATHS {
        let mut grpc = Grpc::tcp(sidecar.grpc);
        let headers = [("x-padding", long.as_str())];
        let ended = grpc.try_call("localhost", path, &headers, framed(&message(path)));
        // Refused by the protocol: an answer that is none of gRPC's, or a stream that is reset.
        assert!(
            ended.as_ref().map_or(true, |ended| ended.status == 431),
            "{path}: {ended:?}"
        );
        let mut next = Grpc::tcp(sidecar.grpc);
        assert_eq!(next.call(path, &message(path)).code, 0, "{path}");
    }
}

#[test]
fn metadata_that_mean_nothing_are_not_read() {
    let sidecar = deciding();
    for path in PATHS {
        let headers = [
            ("x-unknown-bin", "not*base64"),
            ("grpc-encoding", "identity"),
            ("grpc-accept-encoding", "gzip,br"),
            ("traceparent", "00-nonsense"),
            ("x-request-id", " "),
        ];
        let mut grpc = Grpc::tcp(sidecar.grpc);
        let ended = grpc.call_with(path, &headers, framed(&message(path)));
        assert_eq!(ended.code, 0, "{path}: {ended:?}");
    }
}
