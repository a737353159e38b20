//! What is asked of every call before it is looked at, and what calls may ask for: names, origins, revisions,
//! descriptions.

use lictor::policy::Format;
use prost::Message as _;
use serde_json::json;

use crate::ext_authz;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const ENGINE: &str = "/policyengine.v1.PolicyEngineService/ValidateService";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

const POLICIES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: open}
spec:
  http: [{id: all, effect: allow, paths: ["/{any*}"]}]
"#;

fn bundle(number: u64) -> Vec<u8> {
    let policies = documents(POLICIES, Format::Yaml);
    let rego: (&str, &[u8]) = ("a.rego", b"package a\n\nallow := true\n");
    bundle_of(number, policies, &[rego], &[&signing_key()])
}

fn deciding(pod: &Pod) -> Sidecar {
    pod.put(&bundle(1));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn check() -> Vec<u8> {
    ext_authz::request("GET", "/a", &[]).encode_to_vec()
}

#[test]
fn a_loopback_listener_answers_to_loopback_names_and_no_web_page() {
    let pod = Pod::new();
    let sidecar = deciding(&pod);
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let mut code = |authority: &str, path: &str, headers: &[(&str, &str)], message: &[u8]| {
        let ended = grpc.try_call(authority, path, headers, framed(message));
        ended.unwrap().code
    };
    for path in [ENGINE, HEALTH, REFLECTION] {
        let message: &[u8] = if path == REFLECTION { b"\x3a\x00" } else { b"" };
        for authority in ["localhost", "127.0.0.1:9191", "[::1]:9191"] {
            assert_eq!(code(authority, path, &[], message), 0, "{path} {authority}");
        }
        for authority in ["rebound.example", "localhost.evil.example:9191"] {
            assert_eq!(code(authority, path, &[], message), 7, "{path} {authority}");
        }
        let origin = [("origin", "https://evil.example")];
        assert_eq!(code("localhost", path, &origin, message), 7, "{path}");
    }
    // Envoy names its cluster, and hands on no header of its own.
    assert_eq!(
        code("ext_authz_cluster", ext_authz::CHECK, &[], &check()),
        0
    );
}

#[test]
fn a_call_is_answered_from_the_revision_that_it_wants_or_not_at_all() {
    let pod = Pod::new();
    let sidecar = deciding(&pod);
    let mut grpc = Grpc::tcp(sidecar.grpc);
    for (path, message) in [(ENGINE, Vec::new()), (ext_authz::CHECK, check())] {
        let mut ask = |headers: &[(&str, &str)]| grpc.call_with(path, headers, framed(&message));
        assert_eq!(ask(&[("x-lictor-min-revision", "1")]).code, 0, "{path}");
        let late = ask(&[("x-lictor-min-revision", "2")]);
        assert_eq!(late.code, 9, "{path}: {late:?}");
        assert!(late.text.contains("revision%202"), "{late:?}");
        let active = late.headers["x-lictor-revision"].to_str().unwrap();
        assert!(active.starts_with("1-"), "{late:?}");
        for wrong in ["soon", "-1"] {
            assert_eq!(ask(&[("x-lictor-min-revision", wrong)]).code, 3, "{wrong}");
        }
        let twice = [
            ("x-lictor-min-revision", "1"),
            ("x-lictor-min-revision", "1"),
        ];
        assert_eq!(ask(&twice).code, 3, "{path}");
        // It waits no longer than its caller does.
        let waits = [
            ("x-lictor-min-revision", "2"),
            ("prefer", "wait=30"),
            ("grpc-timeout", "100m"),
        ];
        assert_eq!(ask(&waits).code, 4, "{path}");
    }
    // And is answered as soon as the revision is there.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let headers = [("x-lictor-min-revision", "2"), ("prefer", "wait=30")];
            Grpc::tcp(sidecar.grpc).call_with(ENGINE, &headers, framed(b""))
        });
        pod.put(&bundle(2));
        sidecar.sync();
        let ended = waiting.join().unwrap();
        assert_eq!(ended.code, 0, "{ended:?}");
        let revision = ended.headers["x-lictor-revision"].to_str().unwrap();
        assert!(revision.starts_with("2-"), "{revision}");
    });
}

#[test]
fn so_is_a_question_of_opas_clients() {
    let pod = Pod::new();
    let sidecar = deciding(&pod);
    for (method, path) in [
        ("POST", "/v1/data/a/allow"),
        ("GET", "/v1/data/a/allow"),
        ("POST", "/v0/data/a/allow"),
        ("GET", "/v1/query?q=x%3D1"),
    ] {
        let ask = |wanted: &str| {
            let headers = [
                ("content-type", "application/json"),
                ("x-lictor-min-revision", wanted),
            ];
            sidecar.http().send(method, path, &headers, "{}")
        };
        assert_eq!(ask("1").status, 200, "{path}");
        let late = ask("2");
        assert_eq!(late.status, 409, "{path}");
        assert_eq!(late.json()["code"], "revision_not_reached", "{path}");
        assert_eq!(ask("soon").status, 400, "{path}");
    }
}

#[test]
fn services_are_described_unless_that_is_switched_off() {
    let list = |sidecar: &Sidecar| {
        let ended = Grpc::tcp(sidecar.grpc).call(REFLECTION, b"\x3a\x00");
        (
            ended.code,
            String::from_utf8_lossy(&ended.message).into_owned(),
        )
    };
    let pod = Pod::new();
    let (code, text) = list(&deciding(&pod));
    assert_eq!(code, 0);
    for service in [
        "policyengine.v1.PolicyEngineService",
        "envoy.service.auth.v3.Authorization",
        "grpc.health.v1.Health",
    ] {
        assert!(text.contains(service), "{service} is not in {text}");
    }
    pod.configure(&json!({"listeners": {
        "http": {"address": "127.0.0.1:0"},
        "admin": {"address": "127.0.0.1:0"},
        "grpc": {"address": "127.0.0.1:0", "reflection": false},
    }}));
    assert_eq!(list(&deciding(&pod)).0, 12);
}

#[test]
fn checks_are_counted_by_how_envoy_asks_and_what_came_out() {
    let pod = Pod::new();
    let sidecar = deciding(&pod);
    let mut grpc = Grpc::tcp(sidecar.grpc);
    assert_eq!(grpc.call(ext_authz::CHECK, &check()).code, 0);
    let refused = ext_authz::request("GET", "/../a", &[]).encode_to_vec();
    assert_eq!(grpc.call(ext_authz::CHECK, &refused).code, 0);
    assert_eq!(grpc.call(ext_authz::CHECK, b"\0").code, 3);
    assert_eq!(sidecar.http().get("/authz/a").status, 200);
    assert_eq!(sidecar.http().get("/authz/%2e%2e").status, 400);
    let page = sidecar.metrics();
    for line in [
        r#"lictor_ext_authz_checks_total{code="",mode="grpc",outcome="allowed"} 1"#,
        r#"lictor_ext_authz_checks_total{code="400",mode="grpc",outcome="denied"} 1"#,
        r#"lictor_ext_authz_checks_total{code="403",mode="grpc",outcome="denied"} 0"#,
        r#"lictor_ext_authz_checks_total{code="",mode="grpc",outcome="error"} 1"#,
        r#"lictor_ext_authz_checks_total{code="",mode="http",outcome="allowed"} 1"#,
        r#"lictor_ext_authz_checks_total{code="400",mode="http",outcome="denied"} 1"#,
        r#"lictor_ext_authz_check_duration_seconds_count{mode="grpc"} 3"#,
        r#"lictor_ext_authz_check_duration_seconds_count{mode="http"} 2"#,
        r#"lictor_ext_authz_errors_total{reason="request_parse_error"} 2"#,
        r#"lictor_ext_authz_errors_total{reason="invalid_request"} 1"#,
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
}
