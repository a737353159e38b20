//! Client certificates on the gRPC listener: who may call, and whose call it is.

use lictor::api::policy_engine::v1::CheckAccessResponse;
use lictor::policy::Format;
use prost::Message as _;
use serde_json::{Value, json};

use crate::ext_authz;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Ended, Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::tls::{Authority, Shown, exchange, put_pair};

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: by-principal}
spec:
  resources: [service]
  rules:
    - id: envoy
      effect: allow
      condition: source.principal == "spiffe://acme.example/ns/mesh/sa/envoy"
  http:
    - id: friends
      effect: allow
      paths: ["/{any*}"]
      condition: source.principal == "spiffe://acme.example/ns/a/sa/friend"
tests:
  - name: friends may
    http: {method: GET, path: /a, source: {principal: "spiffe://acme.example/ns/a/sa/friend"}}
    expect: {allowed: true, rule: friends}
  - name: nobody else may
    http: {method: GET, path: /a, source: {principal: "spiffe://acme.example/ns/a/sa/foe", address: 10.0.0.1}}
    expect: {allowed: false, status: 403}
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

fn allowed(ended: &Ended) -> bool {
    let answer = CheckAccessResponse::decode(ended.message.clone());
    answer.unwrap().allowed
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
    let answer = allowed(&ended);
    assert!(answer, "{ended:?}");
    // Another workload is not the one that the rule is about.
    let friend = clients.issue(&[FRIEND]);
    let ended = call(&sidecar, &servers, Some(&friend), ACCESS, asked).unwrap();
    assert!(ended.code == 0 && !allowed(&ended), "{ended:?}");
    // On Envoy's door it is Envoy, whose word is taken for who sent the request: never itself.
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

#[test]
fn no_client_can_say_who_it_is_but_by_its_certificate() {
    let [servers, clients] = [(); 2].map(|()| Authority::new());
    let sidecar = start(&servers, &clients);
    let (envoy, friend) = (clients.issue(&[ID]), clients.issue(&[FRIEND]));
    let post = |shown, path: &str, headers: &str, body: &str| {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        exchange(sidecar.http, &servers, Some(shown), &request).unwrap()
    };
    let check = json!({
        "user_id": "ann", "service_id": "s", "action": "read",
        "context": {"source": {"principal": ID}},
        "source": {"principal": ID},
    });
    let evaluation = json!({
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "read"},
        "resource": {"type": "service", "id": "s"},
        "context": {"source": {"principal": ID}},
        "source": {"principal": ID},
    });
    for (path, body, said) in [
        ("/v1/access/check", check.to_string(), "\"allowed\":"),
        (
            "/access/v1/evaluation",
            evaluation.to_string(),
            "\"decision\":",
        ),
    ] {
        for (shown, answer) in [(&envoy, "true"), (&friend, "false")] {
            let got = post(shown, path, "", &body);
            assert!(got.contains(&format!("{said}{answer}")), "{path}: {got}");
        }
    }
    // Over HTTP Envoy says nothing of who sent the request. Neither a header of the client nor Envoy's own certificate
    // says it in its place.
    for name in [
        "x-forwarded-client-cert",
        "source-principal",
        "x-envoy-principal",
    ] {
        for (shown, id) in [(&envoy, FRIEND), (&friend, FRIEND)] {
            let header = format!("{name}: URI={id}\r\n");
            let got = post(shown, "/authz/a", &header, "{}");
            assert!(got.starts_with("HTTP/1.1 403"), "{name}: {got}");
        }
    }
}
