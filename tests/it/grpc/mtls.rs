//! Client certificates on the gRPC listener: who may call, and whose call it is.

use lictor::policy::Format;
use prost::Message as _;
use serde_json::{Value, json};

use crate::ext_authz;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Ended, Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::tls::{Authority, Shown, put_pair};

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: by-principal}
spec:
  resources: [service]
  rules: [{id: all, effect: allow}]
  http:
    - id: friends
      effect: allow
      paths: ["/{any*}"]
      condition: source.principal == "spiffe://acme.example/ns/a/sa/friend"
"#;

const ID: &str = "spiffe://acme.example/ns/mesh/sa/envoy";
const FRIEND: &str = "spiffe://acme.example/ns/a/sa/friend";
const ACCESS: &str = "/policyengine.v1.PolicyEngineService/CheckAccess";

/// A sidecar that asks for certificates on both of its doors.
fn start(servers: &Authority, clients: &Authority) -> Sidecar {
    let pod = Pod::new();
    pod.put_at("clients.pem", clients.pem.as_bytes());
    put_pair(&pod, &servers.issue(&["localhost"]));
    let path = |name: &str| pod.path(name).display().to_string();
    let listener = json!({
        "address": "127.0.0.1:0",
        "tls_cert_file": path("cert.pem"),
        "tls_key_file": path("key.pem"),
        "client_ca_file": path("clients.pem"),
        "trust_domain": "acme.example",
    });
    pod.configure(&json!({
        "listeners": {"http": listener, "grpc": listener, "admin": {"address": "127.0.0.1:0"}},
        "decision_log": {"file": path("decisions.jsonl")},
    }));
    let policies = documents(POLICIES, Format::Yaml);
    pod.put(&bundle_of(1, policies, &[], &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn call(
    sidecar: &Sidecar,
    servers: &Authority,
    shown: Option<&Shown>,
    path: &str,
    message: &[u8],
) -> Result<Ended, String> {
    let mut grpc = Grpc::tls(sidecar.grpc, servers.client(shown))?;
    grpc.try_call("localhost", path, &[], framed(message))
        .map_err(|error| error.to_string())
}

/// The event of the decision log that `picks` picks.
fn logged(sidecar: &mut Sidecar, what: &str, picks: impl Fn(&Value) -> bool) -> Value {
    let file = sidecar.pod.path("decisions.jsonl");
    sidecar.process.wait_for(what, |_| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut events = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        events.find(&picks)
    })
}

#[test]
fn calls_come_from_workloads_of_the_trust_domain_and_are_theirs() {
    let [servers, clients, others] = [(); 3].map(|()| Authority::new());
    let mut sidecar = start(&servers, &clients);
    for (what, shown) in [
        ("no certificate", None),
        ("another authority", Some(others.issue(&[ID]))),
        ("no SPIFFE id", Some(clients.issue(&["client.example"]))),
        (
            "another trust domain",
            Some(clients.issue(&["spiffe://other.example/ns/a/sa/b"])),
        ),
        ("two SPIFFE ids", Some(clients.issue(&[ID, FRIEND]))),
    ] {
        let ended = call(&sidecar, &servers, shown.as_ref(), ACCESS, b"");
        assert!(ended.is_err(), "{what}: {ended:?}");
    }
    let good = clients.issue(&[ID]);
    // On our own door the workload that calls is the caller.
    let asked = b"\x0a\x03ann\x12\x01s\x1a\x04read";
    let ended = call(&sidecar, &servers, Some(&good), ACCESS, asked).unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    let event = logged(&mut sidecar, "the access", |event| {
        event["door"] == "policy_engine"
    });
    assert_eq!(event["subject"], ID, "{event:#}");
    assert!(event["requested_by"].is_string(), "{event:#}");
    // On Envoy's it is Envoy, whose word is taken for who sent the request.
    for (principal, code) in [(FRIEND, 0), (ID, 7), ("", 7)] {
        let mut request = ext_authz::request("GET", "/a", &[]);
        let source = ext_authz::peer(principal);
        request.attributes.as_mut().unwrap().source = Some(source);
        let message = request.encode_to_vec();
        let ended = call(&sidecar, &servers, Some(&good), ext_authz::CHECK, &message).unwrap();
        let answer = ext_authz::auth::CheckResponse::decode(ended.message).unwrap();
        assert_eq!(answer.status.unwrap().code, code, "{principal}");
    }
    let event = logged(&mut sidecar, "the check", |event| {
        event["door"] == "ext_authz" && event["outcome"] == "positive"
    });
    assert_eq!(event["subject"], FRIEND, "{event:#}");
}
