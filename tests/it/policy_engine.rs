//! The policy engine's API of a sidecar, through a real gRPC client: decisions made here, policies kept upstream.

mod proto;

use std::net::{SocketAddr, TcpListener};

use lictor::api::policy_engine::v1::policy_rule::Rule;
use lictor::api::policy_engine::v1::{
    CheckAccessRequest, CreatePolicyRequest, DataResidencyRule, DeletePolicyRequest,
    GetPolicyRequest, HealthCheckRequest, ListPoliciesRequest, Policy, PolicyRule, PolicyType,
    ServiceCompliance, ServiceEndpoint, UpdatePolicyRequest, ValidateConsumptionRequest,
    ValidateServiceRequest,
};
use lictor::policy::Format;
use prost::Message as _;
use serde_json::json;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::control_plane::plane::Plane;
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::engine::Engine;
use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const POLICIES: &str = "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: https-required}
spec:
  type: SECURITY
  severity: critical
  rule: {security: {require_https: true}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: staff}
spec:
  type: ACCESS_CONTROL
  severity: high
  rule: {access_control: {allowed_user_roles: [staff], blocked_user_ids: [mallory]}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: not-yet}
spec:
  type: DATA_RESIDENCY
  severity: high
  enabled: false
  rule: {data_residency: {require_specification: true}}
";

fn deciding() -> Sidecar {
    let pod = Pod::new();
    let documents = documents(POLICIES, Format::Yaml);
    pod.put(&bundle_of(1, documents, &[], &[&signing_key()]));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn service(url: &str) -> ValidateServiceRequest {
    ValidateServiceRequest {
        name: "search".into(),
        endpoint: Some(ServiceEndpoint {
            url: url.into(),
            ..ServiceEndpoint::default()
        }),
        compliance: Some(ServiceCompliance::default()),
        ..ValidateServiceRequest::default()
    }
}

#[test]
fn decisions_are_made_here_and_say_which_revision_made_them() {
    let sidecar = deciding();
    let engine = Engine::connect(sidecar.grpc).with("x-request-id", "r-1");
    let refused = engine.validate_service(service("http://a")).unwrap();
    let metadata = refused.metadata().clone();
    assert_eq!(metadata.get("x-request-id").unwrap(), "r-1");
    assert!(
        metadata
            .get("x-lictor-revision")
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("1-")
    );
    assert!(metadata.contains_key("x-lictor-decision-id"));
    assert!(metadata.contains_key("x-lictor-bundle-age"));
    let refused = refused.into_inner();
    assert!(!refused.compliant && refused.validated_at.is_some());
    assert_eq!(refused.policy_version, "1.0.0");
    assert_eq!(refused.violations.len(), 1);
    let violation = &refused.violations[0];
    assert_eq!(
        (&*violation.policy_name, &*violation.severity),
        ("https-required", "critical")
    );
    assert_eq!(
        (&*violation.field, &*violation.actual_value),
        ("endpoint.url", "http://a")
    );
    let counts = refused.metadata.unwrap();
    assert_eq!(
        (counts.policies_evaluated, counts.policies_failed),
        (1, 1),
        "the disabled one is left out"
    );
    let passed = engine
        .validate_service(service("https://a"))
        .unwrap()
        .into_inner();
    assert!(passed.compliant);

    let ask = |user: &str, roles: &str| {
        let request = CheckAccessRequest {
            user_id: user.into(),
            service_id: "s".into(),
            action: "read".into(),
            context: [("roles".to_owned(), roles.to_owned())].into(),
        };
        engine.check_access(request).unwrap().into_inner()
    };
    assert!(ask("alice", "staff, other").allowed);
    let refused = ask("bob", "guest");
    assert!(!refused.allowed);
    assert_eq!(refused.missing_permissions, ["staff"]);
    assert!(ask("mallory", "staff").reason.contains("blocked"));

    let request = ValidateConsumptionRequest {
        consumer_id: "mallory".into(),
        ..ValidateConsumptionRequest::default()
    };
    let refused = engine.validate_consumption(request).unwrap().into_inner();
    assert!(!refused.allowed && !refused.violations.is_empty());
    assert_eq!(refused.limits.unwrap().max_tokens, 10_000);

    let page = sidecar.metrics();
    for line in [
        "policy_engine_active_policies 1",
        "policy_engine_validations_total{result=\"non_compliant\"} 1",
        "policy_engine_validations_total{result=\"compliant\"} 1",
        "policy_engine_validation_duration_seconds_count{result=\"compliant\"} 1",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"CheckAccess\",grpc_service=\"policyengine.v1.PolicyEngineService\",grpc_type=\"unary\"} 3",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
}

#[test]
fn without_a_bundle_nothing_is_allowed_and_health_says_so_and_then_that_it_changed() {
    let pod = Pod::new();
    let mut sidecar = pod.start();
    let engine = Engine::connect(sidecar.grpc);
    for code in [
        engine
            .validate_service(service("https://a"))
            .unwrap_err()
            .code(),
        engine
            .check_access(CheckAccessRequest::default())
            .unwrap_err()
            .code(),
        engine
            .validate_consumption(ValidateConsumptionRequest::default())
            .unwrap_err()
            .code(),
    ] {
        assert_eq!(code, Code::Unavailable);
    }
    let health = || {
        engine
            .health_check(HealthCheckRequest::default())
            .unwrap()
            .into_inner()
    };
    assert_eq!(health().status, 2);
    assert!(health().details["database"].starts_with("unhealthy"));

    let mut client = HealthClient::new(engine.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest {
        service: "policyengine.v1.PolicyEngineService".into(),
    };
    let mut watch = engine
        .runtime
        .block_on(client.watch(request))
        .unwrap()
        .into_inner();
    let mut next = || {
        let message = engine.runtime.block_on(watch.message()).unwrap();
        message.map(|message| message.status())
    };
    assert_eq!(next(), Some(ServingStatus::NotServing));
    pod.put(&bundle_of(
        1,
        documents(POLICIES, Format::Yaml),
        &[],
        &[&signing_key()],
    ));
    sidecar.sync();
    sidecar.wait_ready();
    assert_eq!(
        next(),
        Some(ServingStatus::Serving),
        "the change was pushed"
    );
    assert_eq!(health().status, 1);
    sidecar.process.signal("TERM");
    assert_eq!(next(), Some(ServingStatus::NotServing));
    assert_eq!(next(), None, "the watch ends with the server");
    assert!(sidecar.process.exit().success());
}

#[test]
fn reflection_describes_the_services() {
    let sidecar = deciding();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    // A request to list services, and one for the file that holds ours.
    for (message, word) in [
        (&b"\x3a\x00"[..], "policyengine.v1.PolicyEngineService"),
        (
            b"\x22\x23policyengine.v1.PolicyEngineService",
            "ValidateServiceRequest",
        ),
    ] {
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            let ended = grpc.call(&path, message);
            assert_eq!(ended.code, 0, "{ended:?}");
            let text = String::from_utf8_lossy(&ended.message).into_owned();
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}

#[test]
fn policies_are_kept_by_the_control_plane_and_decide_here() {
    let mut plane = Plane::start();
    let registry = plane.lictor.address("control_plane");
    let upstream = plane.lictor.address("control_plane_grpc");
    let pod = Pod::new();
    pod.put_at("token", plane.token("sidecar").as_bytes());
    std::fs::copy(plane.file("keyring.yaml"), pod.path("keyring.yaml")).unwrap();
    set_private(&pod, "token");
    pod.configure(&json!({
        "sources": [{
            "name": "main",
            "url": format!("http://{registry}/api/v1/bundles/active/download"),
            "token_file": pod.path("token"),
        }],
        "upstream": {"grpc_url": format!("http://{upstream}")},
    }));
    let sidecar = pod.start();
    let engine = Engine::connect(sidecar.grpc).token(&plane.token("tenant_admin"));
    let request = CreatePolicyRequest {
        policy: Some(residency()),
    };
    let made = engine.create_policy(request).unwrap();
    let number: u64 = made
        .metadata()
        .get("x-lictor-revision")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let made = made.into_inner().policy.unwrap();
    sidecar.wait_for_number(number);
    assert!(
        !engine
            .validate_service(service("http://a"))
            .unwrap()
            .into_inner()
            .compliant
    );

    let request = GetPolicyRequest {
        policy_id: made.id.clone(),
    };
    assert_eq!(
        engine.get_policy(request).unwrap().into_inner().policy,
        Some(made.clone())
    );
    let listed = engine
        .list_policies(ListPoliciesRequest::default())
        .unwrap()
        .into_inner();
    assert_eq!(listed.total_count, 1);
    let request = UpdatePolicyRequest {
        policy_id: made.id.clone(),
        policy: Some(Policy::default()),
        update_mask: vec!["enabled".into()],
    };
    let updated = engine
        .update_policy(request)
        .unwrap()
        .into_inner()
        .policy
        .unwrap();
    assert_eq!((&*updated.version, updated.enabled), ("1.0.1", false));
    sidecar.wait_for_number(number + 1);
    let answer = engine
        .validate_service(service("http://a"))
        .unwrap()
        .into_inner();
    assert_eq!(answer.metadata.unwrap().policies_evaluated, 0);

    // Errors come back as they are, and the revision of a write in its trailers.
    let missing = GetPolicyRequest {
        policy_id: "nobody".into(),
    };
    assert_eq!(
        engine.get_policy(missing).unwrap_err().code(),
        Code::NotFound
    );
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let authorization = format!("Bearer {}", plane.token("tenant_admin"));
    let headers = [("authorization", authorization.as_str())];
    let request = DeletePolicyRequest { policy_id: made.id };
    let path = "/policyengine.v1.PolicyEngineService/DeletePolicy";
    let ended = grpc.call_with(path, &headers, framed(&request.encode_to_vec()));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(
        ended.trailers["x-lictor-revision"],
        (number + 2).to_string()
    );
    assert_eq!(grpc.call(path, b"").code, Code::Unauthenticated as i32);
}

fn residency() -> Policy {
    Policy {
        name: "places".into(),
        r#type: PolicyType::DataResidency.into(),
        enabled: true,
        severity: "high".into(),
        rule: Some(PolicyRule {
            rule: Some(Rule::DataResidency(DataResidencyRule {
                require_specification: true,
                ..DataResidencyRule::default()
            })),
        }),
        ..Policy::default()
    }
}

fn set_private(pod: &Pod, name: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(pod.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A sidecar whose policies are kept at `upstream`.
fn beside(upstream: Option<SocketAddr>, timeout: &str) -> Sidecar {
    let pod = Pod::new();
    let url = upstream.map(|address| format!("http://{address}"));
    pod.configure(&json!({"upstream": {"grpc_url": url, "timeout": timeout}}));
    pod.start()
}

fn get(sidecar: &Sidecar) -> tonic::Status {
    let engine = Engine::connect(sidecar.grpc);
    engine
        .get_policy(GetPolicyRequest {
            policy_id: "p".into(),
        })
        .unwrap_err()
}

#[test]
fn an_upstream_that_is_not_there_or_silent_is_said() {
    let none = get(&beside(None, "5s"));
    assert_eq!(none.code(), Code::Unavailable);
    assert!(none.message().contains("upstream.grpc_url"));
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sidecar = beside(Some(nobody), "5s");
    for _ in 0..6 {
        assert_eq!(get(&sidecar).code(), Code::Unavailable);
    }
    let open = "lictor_circuit_breaker_state{breaker=\"control_plane_grpc\",state=\"open\"} 1";
    assert!(sidecar.metrics().contains(open), "{}", sidecar.metrics());
    // Connections are taken in, and nothing is ever answered.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let sidecar = beside(Some(silent.local_addr().unwrap()), "300ms");
    assert_eq!(get(&sidecar).code(), Code::DeadlineExceeded);
    let engine = Engine::connect(beside(Some(silent.local_addr().unwrap()), "60s").grpc);
    drop(engine);
}

#[test]
fn garbage_is_answered_in_the_protocols_words_and_the_connection_lives() {
    let sidecar = deciding();
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let path = "/policyengine.v1.PolicyEngineService/ValidateService";
    for (what, message, code) in [
        (
            "a length beyond the message",
            &b"\x0a\x7fabc"[..],
            Code::Internal,
        ),
        ("text that is no UTF-8", b"\x0a\x02\xff\xfe", Code::Internal),
        ("another wire type", b"\x08\x01", Code::Internal),
        ("unknown fields alone", b"\xf8\x3f\x01", Code::Ok),
        (
            "a double that is no number",
            b"\x4a\x09\x09\0\0\0\0\0\0\xf8\x7f",
            Code::InvalidArgument,
        ),
    ] {
        let ended = grpc.call(path, message);
        assert_eq!(ended.code, code as i32, "{what}: {ended:?}");
    }
    let large = vec![0; 10 * 1024 * 1024 + 1];
    assert_eq!(grpc.call(path, &large).code, Code::ResourceExhausted as i32);
    for path in [
        "/policyengine.v1.PolicyEngineService/Other",
        "/grpc.health.v1.Health/Other",
    ] {
        assert_eq!(
            grpc.call(path, b"").code,
            Code::Unimplemented as i32,
            "{path}"
        );
    }
    let named = [("x-tenant-id", "other")];
    assert_eq!(
        grpc.call_with(path, &named, framed(b"")).code,
        Code::PermissionDenied as i32
    );
    let late = [("grpc-timeout", "1n")];
    assert_eq!(
        grpc.call_with(path, &late, framed(b"")).code,
        Code::DeadlineExceeded as i32
    );
    assert_eq!(grpc.call(path, b"").code, 0);
}

#[test]
fn a_token_that_is_there_and_does_not_hold_is_never_anonymous() {
    let plane = Plane::start();
    let pod = Pod::new();
    let documents = documents(POLICIES, Format::Yaml);
    pod.put(&bundle_of(1, documents, &[], &[&signing_key()]));
    pod.configure(&json!({"identity": {"issuers": [{
        "name": "tests",
        "audience": ["lictor"],
        "public_key_file": plane.file("token.pub"),
    }]}}));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let ask = |token: &str| {
        let engine = Engine::connect(sidecar.grpc).token(token);
        let answer = engine.validate_service(service("https://a"));
        answer.map(drop).map_err(|status| status.code())
    };
    let good = plane.token("viewer");
    assert_eq!(ask(&good), Ok(()));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    for bad in [&forged, "a.b.c", "garbage"] {
        assert_eq!(ask(bad), Err(Code::Unauthenticated), "{bad}");
    }
    let other = plane.token_of("other", &["viewer"]);
    assert_eq!(ask(&other), Err(Code::PermissionDenied));
    let anonymous = Engine::connect(sidecar.grpc);
    assert!(anonymous.validate_service(service("https://a")).is_ok());
}
