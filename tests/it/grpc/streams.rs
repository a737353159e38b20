//! Streams that go wrong: reset midway, with more metadata than is read, half of a message. Nothing else is disturbed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lictor::policy::Format;
use prost::Message as _;
use serde_json::{Value, json};

use crate::control_plane::plane::Plane;
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
const ENGINE_HEALTH: &str = "/policyengine.v1.PolicyEngineService/HealthCheck";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const PATHS: [&str; 3] = [ext_authz::CHECK, ENGINE, HEALTH];

fn deciding() -> Sidecar {
    deciding_with(&json!({}))
}

fn deciding_with(configuration: &Value) -> Sidecar {
    let pod = Pod::new();
    pod.configure(configuration);
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

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
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
        let out = frame(kind, flags, stream, payload);
        self.stream.write_all(&out).unwrap();
    }

    /// Sends the head of a call, without its end.
    fn begin(&mut self, path: &str) -> u32 {
        let (head, id) = self.head(path);
        self.stream.write_all(&head).unwrap();
        id
    }

    /// The head of a new call, and its stream.
    fn head(&mut self, path: &str) -> (Vec<u8>, u32) {
        let mut block = vec![0x83, 0x86, 0x04, path.len() as u8];
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(b"\x01\x09localhost");
        block.extend_from_slice(b"\x0f\x10\x10application/grpc");
        let id = self.next;
        self.next += 2;
        (frame(1, 4, id, &block), id)
    }

    /// The next frame: kind, flags, stream, payload; None at the end of the connection.
    fn read(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, payload))
    }

    /// Whether the connection lives: a ping comes back.
    fn pings(&mut self) -> bool {
        self.frame(6, 0, 0, b"lictor!!");
        loop {
            match self.read() {
                Some((6, flags, _, payload)) if flags & 1 == 1 => return payload == b"lictor!!",
                // The other side has had enough of us.
                None | Some((7, ..)) => return false,
                Some(_) => {}
            }
        }
    }
}

/// Both listeners of the policy engine's API: the sidecar's and the control plane's.
fn engines(sidecar: &Sidecar, plane: &mut Plane) -> [(&'static str, SocketAddr, &'static str); 2] {
    let kept = plane.lictor.address("control_plane_grpc");
    [
        ("sidecar", sidecar.grpc, ENGINE),
        ("control plane", kept, ENGINE_HEALTH),
    ]
}

#[test]
fn a_flood_of_resets_ends_its_own_connection_alone() {
    let (sidecar, mut plane) = (deciding(), Plane::start());
    for (what, address, path) in engines(&sidecar, &mut plane) {
        let mut bystander = Grpc::tcp(address);
        assert_eq!(bystander.call(path, b"").code, 0, "{what}");
        let mut raw = Raw::connect(address);
        let mut flood = Vec::new();
        for _ in 0..20_000 {
            let (head, id) = raw.head(path);
            flood.extend(head);
            flood.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
        }
        // The other side may close before it has read all of it.
        let _ = raw.stream.write_all(&flood);
        assert_eq!(bystander.call(path, b"").code, 0, "{what}");
        let mut ended = None;
        while let Some((kind, _, _, payload)) = raw.read() {
            if kind == 7 {
                ended = payload.get(4..8).map(<[u8]>::to_vec);
            }
        }
        // ENHANCE_YOUR_CALM, where it could still be said.
        assert!(
            ended.is_none() || ended == Some(11_u32.to_be_bytes().to_vec()),
            "{what}: {ended:?}"
        );
        assert_eq!(Grpc::tcp(address).call(path, b"").code, 0, "{what}");
    }
}

#[test]
fn more_calls_at_once_than_are_allowed_are_refused_and_the_rest_answered() {
    let sidecar = deciding_with(&json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
        "grpc": {"address": "127.0.0.1:0", "max_concurrent_streams": 4},
    }}));
    for path in PATHS {
        let whole = framed(&message(path));
        let mut raw = Raw::connect(sidecar.grpc);
        let open: Vec<u32> = (0..4).map(|_| raw.begin(path)).collect();
        let beyond = raw.begin(path);
        let (mut announced, mut answered) = (None, Vec::new());
        loop {
            let (kind, flags, stream, payload) = raw.read().expect(path);
            match kind {
                // SETTINGS_MAX_CONCURRENT_STREAMS
                4 => {
                    let mut settings = payload.chunks(6);
                    announced = settings
                        .find(|setting| setting[..2] == [0, 3])
                        .map(|setting| setting[2..].to_vec())
                        .or(announced);
                }
                // REFUSED_STREAM: it may be tried again.
                3 => {
                    assert_eq!((stream, payload), (beyond, vec![0, 0, 0, 7]), "{path}");
                    for id in &open {
                        raw.frame(0, 1, *id, &whole);
                    }
                }
                1 if flags & 1 == 1 => answered.push(stream),
                7 => panic!("{path}: the connection is over"),
                _ => {}
            }
            if answered.len() == open.len() {
                break;
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, open, "{path}");
        assert_eq!(announced, Some(vec![0, 0, 0, 4]), "{path}");
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_before_it_is_read() {
    const LIMIT: usize = 10 * 1024 * 1024;
    let (sidecar, mut plane) = (deciding(), Plane::start());
    // Field 4, of both messages none or a text that is not looked at.
    let sized = |size: usize| {
        let mut message = b"\x9a\x06".to_vec();
        let text = size - 2 - 4;
        for shift in [0, 7, 14, 21] {
            let more = if shift < 21 { 0x80 } else { 0 };
            message.push((text >> shift) as u8 & 0x7f | more);
        }
        message.resize(size, b'a');
        message
    };
    for (what, address, path) in engines(&sidecar, &mut plane) {
        let mut grpc = Grpc::tcp(address);
        let good = grpc.call(path, &sized(LIMIT));
        assert_eq!(good.code, 0, "{what}: {}", good.text);
        let large = grpc.call(path, &sized(LIMIT + 1));
        assert_eq!(large.code, 8, "{what}: {}", large.text);
        // Announced and never sent.
        let mut raw = Raw::connect(address);
        let id = raw.begin(path);
        raw.frame(0, 1, id, b"\0\xff\xff\xff\xff");
        assert!(raw.pings(), "{what}");
        assert_eq!(Grpc::tcp(address).call(path, b"").code, 0, "{what}");
    }
    // Envoy's door has a limit of its own, which is in the configuration.
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let large = grpc.call(ext_authz::CHECK, &sized(4 * 1024 * 1024 + 1));
    assert_eq!(large.code, 8, "{}", large.text);
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
