//! The policy engine's API of the control plane, through a real gRPC client.

use lictor::api::policy_engine::v1::policy_rule::Rule;
use lictor::api::policy_engine::v1::{
    AccessControlRule, CheckAccessRequest, CreatePolicyRequest, DataResidencyRule,
    DeletePolicyRequest, GetPolicyRequest, HealthCheckRequest, ListPoliciesRequest, Policy,
    PolicyRule, PolicyType, PricingRule, SecurityRule, UpdatePolicyRequest,
    ValidateConsumptionRequest, ValidateServiceRequest,
};
use prost::Message as _;
use serde_json::json;
use tonic::Code;
use tonic::Code::{
    AlreadyExists, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument, NotFound,
    PermissionDenied, ResourceExhausted, Unauthenticated, Unimplemented,
};

use super::plane::{Plane, verified};
use crate::support::engine::Engine;
use crate::support::grpc::{Grpc, framed};

const SERVICE: &str = "/policyengine.v1.PolicyEngineService";

fn engine(plane: &mut Plane, role: &str) -> Engine {
    let token = plane.token(role);
    Engine::connect(plane.lictor.address("control_plane_grpc")).token(&token)
}

fn residency(name: &str) -> Policy {
    Policy {
        name: name.into(),
        description: "where data lies".into(),
        r#type: PolicyType::DataResidency.into(),
        enabled: true,
        severity: "high".into(),
        rule: Some(PolicyRule {
            rule: Some(Rule::DataResidency(DataResidencyRule {
                blocked_countries: vec!["KP".into()],
                minimum_locations: 1,
                ..DataResidencyRule::default()
            })),
        }),
        metadata: [("category".to_owned(), "compliance".to_owned())].into(),
        ..Policy::default()
    }
}

fn create(engine: &Engine, policy: Policy) -> Result<(Policy, u64), Code> {
    let request = CreatePolicyRequest {
        policy: Some(policy),
    };
    let response = engine
        .create_policy(request)
        .map_err(|status| status.code())?;
    let revision = revision(response.metadata());
    Ok((response.into_inner().policy.unwrap(), revision))
}

fn update(engine: &Engine, id: &str, policy: Policy, mask: &[&str]) -> Result<Policy, Code> {
    let request = UpdatePolicyRequest {
        policy_id: id.into(),
        policy: Some(policy),
        update_mask: mask.iter().map(ToString::to_string).collect(),
    };
    let response = engine
        .update_policy(request)
        .map_err(|status| status.code())?;
    Ok(response.into_inner().policy.unwrap())
}

fn get(engine: &Engine, id: &str) -> Result<Policy, Code> {
    let request = GetPolicyRequest {
        policy_id: id.into(),
    };
    let response = engine.get_policy(request).map_err(|status| status.code())?;
    Ok(response.into_inner().policy.unwrap())
}

fn delete(engine: &Engine, id: &str) -> Result<u64, Code> {
    let request = DeletePolicyRequest {
        policy_id: id.into(),
    };
    let response = engine
        .delete_policy(request)
        .map_err(|status| status.code())?;
    let revision = revision(response.metadata());
    let response = response.into_inner();
    assert!(response.success && response.deleted_at.is_some());
    Ok(revision)
}

fn revision(metadata: &tonic::metadata::MetadataMap) -> u64 {
    let text = metadata.get("x-lictor-revision").unwrap();
    text.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_policy_lives_from_its_creation_over_updates_to_its_archive() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin");
    let mut registry = plane.client("tenant_admin");

    let sent = Policy {
        id: "the server's to choose".into(),
        ..residency("places")
    };
    let (made, number) = create(&engine, sent.clone()).unwrap();
    assert_eq!(made.version, "1.0.0");
    assert!(made.id.parse::<uuid::Uuid>().unwrap().get_version_num() == 4);
    assert_eq!((&made.rule, &made.metadata), (&sent.rule, &sent.metadata));
    assert_eq!(get(&engine, &made.id).unwrap(), made);
    assert_eq!(get(&engine, "places").unwrap(), made, "by its name");
    let (_, manifest) = verified(&registry.bundle(number).body, "acme");
    assert_eq!(manifest.policies.len(), 1);
    assert_eq!(manifest.policies[0].version, "1.0.0");

    // What the client got, changed in one place and sent back whole.
    let mut changed = made.clone();
    changed.severity = "low".into();
    let updated = update(&engine, &made.id, changed, &[]).unwrap();
    assert_eq!(
        (updated.version.as_str(), &*updated.severity),
        ("1.0.1", "low")
    );
    assert_eq!(updated.created_at, made.created_at);
    assert!(updated.updated_at != made.updated_at);

    // One member alone; the rest of the message counts for nothing.
    let off = update(&engine, &made.id, Policy::default(), &["enabled"]).unwrap();
    assert_eq!((off.version.as_str(), off.enabled), ("1.0.2", false));
    assert_eq!((&off.rule, &off.name), (&made.rule, &made.name));
    let answer = registry.get(&format!("/api/v1/policies/{}/content", made.id));
    assert_eq!(answer.json()["spec"]["enabled"], false);

    // A number of the client's own, and another name.
    let named = Policy {
        name: "locations".into(),
        version: "3.0.0".into(),
        ..Policy::default()
    };
    let renamed = update(&engine, &made.id, named, &["name", "version"]).unwrap();
    assert_eq!((&*renamed.name, &*renamed.version), ("locations", "3.0.0"));
    assert_eq!(get(&engine, "places"), Err(NotFound));

    let number = delete(&engine, &made.id).unwrap();
    assert_eq!(get(&engine, &made.id), Err(NotFound));
    assert_eq!(delete(&engine, &made.id), Err(NotFound));
    assert_eq!(update(&engine, &made.id, sent, &[]), Err(NotFound));
    let (_, manifest) = verified(&registry.bundle(number).body, "acme");
    assert_eq!(manifest.policies.len(), 0);
    let shown = registry.get(&format!("/api/v1/policies/{}", made.id));
    assert_eq!(shown.json()["status"], "archived");
    assert_eq!(
        registry
            .put(&format!(
                "/api/v1/policies/{}/activate?version=1.0.0",
                made.id
            ))
            .status,
        409
    );
}

#[test]
fn names_are_unique_on_both_doors_until_their_policy_is_archived() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin");
    let mut registry = plane.client("tenant_admin");
    let (first, _) = create(&engine, residency("a")).unwrap();
    let (other, _) = create(&engine, residency("b")).unwrap();
    assert_eq!(create(&engine, residency("a")), Err(AlreadyExists));
    let body = json!({"name": "a", "content": {"x": 1}});
    assert_eq!(registry.post("/api/v1/policies", &body).status, 409);
    assert_eq!(
        update(&engine, &other.id, residency("a"), &["name"]),
        Err(AlreadyExists)
    );
    delete(&engine, &first.id).unwrap();
    let (again, _) = create(&engine, residency("a")).unwrap();
    assert_ne!(again.id, first.id);
    assert_eq!(get(&engine, "a").unwrap().id, again.id);
    // Who seeds an installation still finds the name of what was deleted.
    delete(&engine, &other.id).unwrap();
    let listed = registry.get("/api/v1/policies").json();
    let names = listed.as_array().unwrap().iter();
    let archived: Vec<_> = names
        .filter(|policy| policy["status"] == "archived")
        .map(|policy| policy["name"].as_str().unwrap())
        .collect();
    assert_eq!(archived, ["a", "b"]);
}

type Change = fn(&mut Policy);

/// Changes after which a policy cannot be kept.
const UNKEEPABLE: [(&str, Change); 13] = [
    ("no name", |policy| policy.name.clear()),
    ("a name like an id", |policy| {
        policy.name = "7f3b1c1e-4a5b-4c6d-8e7f-0123456789ab".into();
    }),
    ("no type", |policy| policy.r#type = 0),
    ("an unknown type", |policy| policy.r#type = 99),
    ("no severity", |policy| policy.severity.clear()),
    ("another severity", |policy| {
        policy.severity = "worst".into();
    }),
    ("no rule", |policy| policy.rule = None),
    ("another type's rule", |policy| {
        policy.rule = Some(rule(Rule::Security(SecurityRule::default())));
    }),
    ("a number below what it can be", |policy| {
        policy.rule = Some(rule(Rule::DataResidency(DataResidencyRule {
            minimum_locations: -1,
            ..DataResidencyRule::default()
        })));
    }),
    ("a range that is none", |policy| {
        policy.r#type = PolicyType::AccessControl.into();
        policy.rule = Some(rule(Rule::AccessControl(AccessControlRule {
            allowed_ip_ranges: vec!["10.0.0.0/33".into()],
            ..AccessControlRule::default()
        })));
    }),
    ("no number", |policy| {
        policy.r#type = PolicyType::Pricing.into();
        policy.rule = Some(rule(Rule::Pricing(PricingRule {
            max_rate_per_token: f64::NAN,
            ..PricingRule::default()
        })));
    }),
    ("a version that is none", |policy| {
        policy.version = "1".into();
    }),
    ("a long description", |policy| {
        policy.description = "x".repeat(1001);
    }),
];

fn rule(rule: Rule) -> PolicyRule {
    PolicyRule { rule: Some(rule) }
}

#[test]
fn what_cannot_be_kept_is_refused_and_nothing_is_left_half_done() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin");
    let good = residency("good");
    let (made, _) = create(&engine, good.clone()).unwrap();
    for (what, change) in UNKEEPABLE {
        let mut policy = residency("bad");
        change(&mut policy);
        assert_eq!(create(&engine, policy), Err(InvalidArgument), "{what}");
    }
    let nothing = engine.create_policy(CreatePolicyRequest { policy: None });
    assert_eq!(nothing.unwrap_err().code(), InvalidArgument);
    let secure = Policy {
        r#type: PolicyType::Security.into(),
        ..good.clone()
    };
    for mask in ["colour", "", "type"] {
        let changed = update(&engine, &made.id, secure.clone(), &[mask]);
        assert_eq!(changed, Err(InvalidArgument), "{mask}");
    }
    assert_eq!(get(&engine, "nobody"), Err(NotFound));
    assert_eq!(get(&engine, ""), Err(InvalidArgument));
    let after = get(&engine, &made.id).unwrap();
    assert_eq!(after, made);

    let low = Policy {
        severity: "low".into(),
        version: "1.0.0".into(),
        ..good
    };
    update(&engine, &made.id, low.clone(), &["severity"]).unwrap();
    let again = update(&engine, &made.id, low, &["version"]);
    assert_eq!(again, Err(AlreadyExists), "versions do not change");
}

#[test]
fn policies_of_other_kinds_are_left_to_the_registry() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin");
    let mut registry = plane.client("tenant_admin");
    let access = json!({
        "apiVersion": "lictor.dev/v1", "kind": "AccessPolicy", "metadata": {"name": "documents"},
        "spec": {"resources": ["document"], "rules": [{"effect": "allow", "actions": ["read"]}]},
    });
    let id = registry.create("documents", &access);
    assert_eq!(get(&engine, &id), Err(NotFound), "it is not active");
    registry.activate(&id, "1.0.0");
    assert_eq!(get(&engine, &id), Err(FailedPrecondition));
    assert_eq!(delete(&engine, &id), Err(FailedPrecondition));
    assert_eq!(
        update(&engine, &id, residency("documents"), &[]),
        Err(FailedPrecondition)
    );
    let listed = engine
        .list_policies(ListPoliciesRequest::default())
        .unwrap();
    assert_eq!(listed.into_inner().total_count, 0);
    assert_eq!(create(&engine, residency("documents")), Err(AlreadyExists));
}

#[test]
fn tests_of_a_policy_stay_with_its_rule_and_go_with_another() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin");
    let mut registry = plane.client("tenant_admin");
    let document = json!({
        "apiVersion": "lictor.dev/v1", "kind": "ServicePolicy",
        "metadata": {"name": "tested", "version": "1.0.0", "labels": {"team": "x"}},
        "spec": {"type": "DATA_RESIDENCY", "severity": "high",
                 "rule": {"data_residency": {"require_specification": true}}},
        "tests": [{"name": "t", "input": {}, "expect": {"compliant": false}}],
    });
    let id = registry.create("tested", &document);
    registry.activate(&id, "1.0.0");
    update(&engine, &id, Policy::default(), &["enabled"]).unwrap();
    let mut content = || {
        registry
            .get(&format!("/api/v1/policies/{id}/content"))
            .json()
    };
    let kept = content();
    assert_eq!(kept["tests"], document["tests"]);
    assert_eq!(
        kept["metadata"],
        json!({"name": "tested", "labels": {"team": "x"}})
    );
    let mut other = residency("tested");
    other.rule = Some(PolicyRule {
        rule: Some(Rule::DataResidency(DataResidencyRule::default())),
    });
    update(&engine, &id, other, &["rule", "enabled"]).unwrap();
    assert_eq!(content()["tests"], json!(null));
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "viewer");
    let admin = super::policy_engine::engine(&mut plane, "tenant_admin");
    for (name, severity) in [("a", "low"), ("b", "critical"), ("c", "high")] {
        create(
            &admin,
            Policy {
                severity: severity.into(),
                enabled: name != "c",
                ..residency(name)
            },
        )
        .unwrap();
    }
    let list = |filter: &str, order_by: &str, page_size, page_token: &str| {
        engine
            .list_policies(ListPoliciesRequest {
                page_size,
                page_token: page_token.into(),
                filter: filter.into(),
                order_by: order_by.into(),
            })
            .map(|response| {
                let response = response.into_inner();
                let names: Vec<_> = response
                    .policies
                    .iter()
                    .map(|policy| policy.name.clone())
                    .collect();
                (
                    names.concat(),
                    response.total_count,
                    response.next_page_token,
                )
            })
            .map_err(|status| status.code())
    };
    assert_eq!(
        list("", "", 0, "").unwrap(),
        ("cba".into(), 3, String::new())
    );
    assert_eq!(list("enabled=false", "", 0, "").unwrap().0, "c");
    assert_eq!(
        list("type=data_residency AND severity!=low", "name", 0, "")
            .unwrap()
            .0,
        "bc"
    );
    let (names, total, token) = list("", "severity desc", 2, "").unwrap();
    assert_eq!((names.as_str(), total), ("bc", 3));
    assert_eq!(
        list("", "severity desc", 2, &token).unwrap(),
        ("a".into(), 3, String::new())
    );
    assert_eq!(list("", "severity", 2, &token), Err(InvalidArgument));
    assert_eq!(list("nonsense", "", 0, ""), Err(InvalidArgument));
    assert_eq!(list("", "", -1, ""), Err(InvalidArgument));
}

#[test]
fn callers_are_held_to_their_token_role_and_tenant() {
    let mut plane = Plane::start();
    let address = plane.lictor.address("control_plane_grpc");
    let admin = engine(&mut plane, "tenant_admin");
    let (made, _) = create(&admin, residency("p")).unwrap();
    let with = |plane: &Plane, token: &str| {
        let _ = plane;
        Engine::connect(address).token(token)
    };
    assert_eq!(
        get(&Engine::connect(address), &made.id),
        Err(Unauthenticated)
    );
    assert_eq!(get(&with(&plane, "a.b.c"), &made.id), Err(Unauthenticated));
    let forged = {
        let token = plane.token("tenant_admin");
        let (body, _) = token.rsplit_once('.').unwrap();
        format!("{body}.{}", "A".repeat(86))
    };
    assert_eq!(get(&with(&plane, &forged), &made.id), Err(Unauthenticated));
    let basic = Engine::connect(address).with("authorization", "Basic abc");
    assert_eq!(get(&basic, &made.id), Err(Unauthenticated));
    let viewer = engine(&mut plane, "viewer");
    assert!(get(&viewer, &made.id).is_ok());
    assert_eq!(create(&viewer, residency("q")), Err(PermissionDenied));
    assert_eq!(delete(&viewer, &made.id), Err(PermissionDenied));
    // An author may write, and not put in force; here both happen at once.
    let author = engine(&mut plane, "policy_author");
    assert_eq!(create(&author, residency("q")), Err(PermissionDenied));
    assert_eq!(
        update(&author, &made.id, residency("p"), &[]),
        Err(PermissionDenied)
    );
    let sidecar = engine(&mut plane, "sidecar");
    assert_eq!(get(&sidecar, &made.id), Err(PermissionDenied));
    let other = plane.token_of("other", &["tenant_admin"]);
    assert_eq!(get(&with(&plane, &other), &made.id), Err(NotFound));
    let named = admin.with("x-tenant-id", "other");
    assert_eq!(get(&named, &made.id), Err(PermissionDenied));
}

#[test]
fn a_repeated_write_is_answered_as_the_first_time() {
    let mut plane = Plane::start();
    let engine = engine(&mut plane, "tenant_admin").with("idempotency-key", "\"k1\"");
    let request = CreatePolicyRequest {
        policy: Some(residency("p")),
    };
    let first = engine.create_policy(request.clone()).unwrap();
    let again = engine.create_policy(request).unwrap();
    assert_eq!(
        again.metadata().get("idempotency-replayed").unwrap(),
        "true"
    );
    assert_eq!(revision(first.metadata()), revision(again.metadata()));
    assert_eq!(first.into_inner(), again.into_inner());
    assert_eq!(
        create(&engine, residency("q")),
        Err(InvalidArgument),
        "the key was used"
    );
    let engine = engine.with("idempotency-key", "k2");
    assert_eq!(create(&engine, residency("p")), Err(AlreadyExists));
    assert_eq!(create(&engine, residency("p")), Err(AlreadyExists));
    let engine = engine.with("idempotency-key", "");
    assert_eq!(create(&engine, residency("q")), Err(InvalidArgument));
}

#[test]
fn the_revision_of_a_write_stands_in_its_trailers() {
    let mut plane = Plane::start();
    let authorization = format!("Bearer {}", plane.token("tenant_admin"));
    let mut grpc = Grpc::tcp(plane.lictor.address("control_plane_grpc"));
    let request = CreatePolicyRequest {
        policy: Some(residency("p")),
    };
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-request-id", "r-1"),
    ];
    let path = format!("{SERVICE}/CreatePolicy");
    let ended = grpc.call_with(&path, &headers, framed(&request.encode_to_vec()));
    assert_eq!((ended.code, &*ended.text), (0, ""), "{ended:?}");
    assert_eq!(ended.trailers["x-lictor-revision"], "1");
    assert_eq!(ended.headers["x-request-id"], "r-1");
}

#[test]
fn garbage_is_answered_in_the_protocols_words_and_the_connection_lives() {
    let mut plane = Plane::start();
    let authorization = format!("Bearer {}", plane.token("tenant_admin"));
    let mut grpc = Grpc::tcp(plane.lictor.address("control_plane_grpc"));
    let path = format!("{SERVICE}/GetPolicy");
    let headers = [("authorization", authorization.as_str())];
    for (what, message, code) in [
        ("a length beyond the message", &b"\x0a\x7fabc"[..], Internal),
        ("half a varint", b"\x0a", Internal),
        ("text that is no UTF-8", b"\x0a\x02\xff\xfe", Internal),
        ("another wire type", b"\x08\x01", Internal),
        ("unknown fields alone", b"\xf8\x3f\x01", InvalidArgument),
        ("nothing", b"", InvalidArgument),
    ] {
        let ended = grpc.call_with(&path, &headers, framed(message));
        assert_eq!(ended.code, code as i32, "{what}: {ended:?}");
    }
    let large = vec![0; 10 * 1024 * 1024 + 1];
    let ended = grpc.call_with(&path, &headers, framed(&large));
    assert_eq!(ended.code, ResourceExhausted as i32);
    for path in [
        "/policyengine.v1.PolicyEngineService/Other",
        "/other.Service/Get",
        "/",
    ] {
        assert_eq!(grpc.call(path, b"").code, Unimplemented as i32, "{path}");
    }
    let late = [
        ("authorization", authorization.as_str()),
        ("grpc-timeout", "1n"),
    ];
    let ended = grpc.call_with(&path, &late, framed(b""));
    assert_eq!(ended.code, DeadlineExceeded as i32);
    let json = [("content-type", "application/json")];
    assert_eq!(grpc.call_with(&path, &json, "{}").status, 415);
    let engine = engine(&mut plane, "tenant_admin");
    let decisions = [
        engine
            .validate_service(ValidateServiceRequest::default())
            .map(drop),
        engine.check_access(CheckAccessRequest::default()).map(drop),
        engine
            .validate_consumption(ValidateConsumptionRequest::default())
            .map(drop),
    ];
    for decision in decisions {
        assert_eq!(
            decision.unwrap_err().code(),
            Unimplemented,
            "they are the sidecar's"
        );
    }
}

#[test]
fn health_is_told_without_a_token_and_calls_are_counted() {
    let mut plane = Plane::start();
    let engine = Engine::connect(plane.lictor.address("control_plane_grpc"));
    let health = engine
        .health_check(HealthCheckRequest {
            service: "any".into(),
        })
        .unwrap();
    let health = health.into_inner();
    assert_eq!(health.status, 1);
    assert_eq!(health.details["database"], "healthy");
    assert!(health.timestamp.is_some());
    let _ = get(&engine, "x");
    let mut auditor = plane.client("auditor");
    let page = auditor.get("/metrics").text();
    let labels = r#"grpc_service="policyengine.v1.PolicyEngineService",grpc_type="unary""#;
    for line in [
        format!(
            r#"grpc_server_handled_total{{grpc_code="OK",grpc_method="HealthCheck",{labels}}} 1"#
        ),
        format!(
            r#"grpc_server_handled_total{{grpc_code="Unauthenticated",grpc_method="GetPolicy",{labels}}} 1"#
        ),
        format!(r#"grpc_server_msg_received_total{{grpc_method="HealthCheck",{labels}}} 1"#),
        format!(r#"grpc_server_msg_sent_total{{grpc_method="HealthCheck",{labels}}} 1"#),
        format!(r#"grpc_server_handling_seconds_count{{grpc_method="GetPolicy",{labels}}} 1"#),
        r#"lictor_control_plane_db_connections{pool="writer",state="used"} 0"#.to_owned(),
        r#"lictor_control_plane_db_connections_max{pool="writer"} 1"#.to_owned(),
    ] {
        assert!(page.contains(&line), "{line} is not in {page}");
    }
}
