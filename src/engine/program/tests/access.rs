//! AccessPolicies and ACCESS_CONTROL policies, through all three shapes of a question.

use super::*;

const DOCUMENTS: &str = r"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: documents}
spec:
  resources: [document]
  roles:
    owner: resource.properties.owner == subject.id
    banned: subject.properties.banned
  rules:
    - id: readers
      effect: allow
      actions: [read, list]
      roles: [viewer, editor, owner]
    - id: writers
      effect: allow
      actions: [write]
      roles: [editor]
    - id: locked
      effect: deny
      actions: [write, delete]
      condition: resource.properties.locked
      reason: The document is locked
    - id: shunned
      effect: deny
      actions: [list]
      roles: [banned]
";

fn ask(action: &str, subject: &str, resource: &str) -> String {
    format!(
        r#"{{"subject":{{"type":"user","id":"u1","properties":{subject}}},"action":{{"name":"{action}"}},
            "resource":{{"type":"document","id":"d1","properties":{resource}}}}}"#
    )
}

#[test]
fn roles_actions_and_deny_wins() {
    let program = program(DOCUMENTS);
    assert!(program.decides_access());
    let decide = |action: &str, subject: &str, resource: &str| {
        access(&program, &ask(action, subject, resource))
    };
    assert_eq!(
        decide("read", r#"{"roles":["viewer"]}"#, "{}"),
        "allow readers"
    );
    assert_eq!(
        decide("read", r#"{"roles":["stranger"]}"#, "{}"),
        "no match"
    );
    assert_eq!(decide("read", "{}", r#"{"owner":"u1"}"#), "allow readers");
    assert_eq!(decide("read", "{}", r#"{"owner":"u2"}"#), "no match");
    assert_eq!(decide("purge", r#"{"roles":["editor"]}"#, "{}"), "no match");
    let editor = r#"{"roles":["editor"]}"#;
    assert_eq!(
        decide("write", editor, r#"{"locked":false}"#),
        "allow writers"
    );
    assert_eq!(decide("write", editor, r#"{"locked":true}"#), "deny locked");
    // The condition of the deny rule fails: it counts as true.
    assert_eq!(decide("write", editor, "{}"), "deny locked");
    // A derived role that fails is held for deny rules, absent for allow rules.
    let viewer = r#"{"roles":["viewer"]}"#;
    assert_eq!(decide("list", viewer, "{}"), "deny shunned");
    let cleared = r#"{"roles":["viewer"],"banned":false}"#;
    assert_eq!(decide("list", cleared, "{}"), "allow readers");
}

#[test]
fn questions_lacking_a_field_are_refused_with_its_place() {
    let program = program(DOCUMENTS);
    let whole = r#"{"subject":{"type":"user","id":"u"},"action":{"name":"read"},"resource":{"type":"t","id":"r"}}"#;
    assert_eq!(access(&program, whole), "no match");
    for (from, to, error) in [
        (
            r#""subject":{"type":"user","id":"u"},"#,
            "",
            "/subject: is required",
        ),
        (
            r#"{"type":"user","id":"u"}"#,
            "\"alice\"",
            "/subject: must be an object",
        ),
        (r#""type":"user","#, "", "/subject/type: is required"),
        (r#""id":"u""#, r#""id":7"#, "/subject/id: must be a string"),
        (r#"{"name":"read"}"#, "{}", "/action/name: is required"),
        (
            r#"{"name":"read"}"#,
            r#"{"name":123}"#,
            "/action/name: must be a string",
        ),
        (r#""type":"t","#, "", "/resource/type: is required"),
        (r#","id":"r""#, "", "/resource/id: is required"),
        (
            r#""id":"r""#,
            r#""id":"r","properties":1"#,
            "/resource/properties: must be an object",
        ),
        (
            r#""id":"u""#,
            r#""id":"u","properties":{"roles":1}"#,
            "/subject/properties/roles: must be a list of strings",
        ),
        (
            r#"{"subject""#,
            r#"{"context":1,"subject""#,
            "/context: must be an object",
        ),
    ] {
        assert_eq!(access(&program, &whole.replacen(from, to, 1)), error);
    }
    assert_eq!(access(&program, "[]"), ": must be an object");
    let twice = whole.replacen('{', r#"{"\u0073ubject":{},"#, 1);
    assert!(
        access(&program, &twice).starts_with("invalid JSON"),
        "{}",
        access(&program, &twice)
    );
    assert!(access(&program, "{").starts_with("invalid JSON"));
    let unknown = whole.replacen('{', r#"{"foo":1,"#, 1);
    assert_eq!(access(&program, &unknown), "no match");
}

#[test]
fn parts_are_asked_like_a_document() {
    let program = program(DOCUMENTS);
    let request = |subject: &'static str| AccessRequest::Parts {
        subject: subject.as_bytes(),
        action: br#"{"name":"read"}"#,
        resource: br#"{"type":"document","id":"d"}"#,
        context: Some(b"{}"),
    };
    let viewer = r#"{"type":"user","id":"u","properties":{"roles":["viewer"]}}"#;
    assert_eq!(access_as(&program, request(viewer), None), "allow readers");
    let bare = r#"{"type":"user","id":"u"}"#;
    assert_eq!(access_as(&program, request(bare), None), "no match");
}

#[test]
fn no_policy_is_told_apart_from_no_match() {
    let nothing = program(&DOCUMENTS.replace(
        "metadata: {name: documents}",
        "metadata: {name: documents, status: retired}",
    ));
    assert!(!nothing.decides_access());
    assert_eq!(access(&nothing, &ask("read", "{}", "{}")), "no policy");
}

const SERVICES: &str = r"
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: callers}
spec:
  type: ACCESS_CONTROL
  severity: high
  enabled: true
  rule: {access_control: {allowed_user_roles: [admin, operator], blocked_user_ids: [mallory]}}
---
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: network}
spec:
  type: ACCESS_CONTROL
  severity: high
  enabled: true
  rule: {access_control: {allowed_ip_ranges: [10.0.0.0/8]}}
";

fn check(program: &Program, user: &str, context: &str, claims: Option<&str>) -> String {
    let body =
        format!(r#"{{"user_id":"{user}","service_id":"s","action":"read","context":{context}}}"#);
    access_as(program, AccessRequest::Check(body.as_bytes()), claims)
}

#[test]
fn service_policies_only_deny() {
    let program = program(SERVICES);
    assert!(program.decides_access());
    assert_eq!(program.active_policies(), 0);
    let here = r#"{"roles":"guest, operator","ip_address":"10.1.2.3"}"#;
    assert_eq!(check(&program, "ann", here, None), "allow spec.rule");
    assert_eq!(check(&program, "mallory", here, None), "blocked by callers");
    assert_eq!(
        check(
            &program,
            "ann",
            r#"{"roles":"guest","ip_address":"10.1.2.3"}"#,
            None
        ),
        "one of these roles is required: admin, operator"
    );
    let address = |text: &str| {
        check(
            &program,
            "ann",
            &format!(r#"{{"roles":"admin"{text}}}"#),
            None,
        )
    };
    assert_eq!(address(""), "context.ip_address is required");
    assert_eq!(
        address(r#","ip_address":"x""#),
        "context.ip_address is no address"
    );
    assert_eq!(
        address(r#","ip_address":"192.0.2.1""#),
        "context.ip_address is outside the allowed ranges"
    );
}

#[test]
fn verified_claims_give_the_roles() {
    let program = program(SERVICES);
    let forged = r#"{"roles":"admin","ip_address":"10.1.2.3"}"#;
    let needed = "one of these roles is required: admin, operator";
    assert_eq!(
        check(&program, "ann", forged, Some(r#"{"sub":"ann"}"#)),
        needed
    );
    assert_eq!(
        check(&program, "ann", forged, Some(r#"{"role":"admin"}"#)),
        "allow spec.rule"
    );
    assert_eq!(
        check(
            &program,
            "ann",
            forged,
            Some(r#"{"roles":["x","operator"]}"#)
        ),
        "allow spec.rule"
    );
    assert_eq!(
        check(&program, "ann", forged, Some(r#"{"role":{"admin":1}}"#)),
        needed
    );
}

#[test]
fn permissions_required_and_missing() {
    let program = program(SERVICES);
    let scratch = Scratch::default();
    let body = br#"{"user_id":"ann","service_id":"s","action":"read","context":{"ip_address":"10.0.0.1"}}"#;
    let answer = program
        .access(AccessRequest::Check(body), &context(), &scratch)
        .unwrap();
    assert_eq!(answer.required_permissions, ["admin", "operator"]);
    assert_eq!(answer.missing_permissions, ["admin", "operator"]);
}

#[test]
fn approval_is_never_on_record() {
    let yaml = SERVICES.replace("allowed_ip_ranges: [10.0.0.0/8]", "require_approval: true");
    let program = program(&yaml);
    assert_eq!(
        check(&program, "ann", r#"{"roles":"admin"}"#, None),
        "an approval is required, and none is on record"
    );
}

#[test]
fn checks_lacking_a_field_are_refused() {
    let program = program(SERVICES);
    for (body, error) in [
        (
            r#"{"service_id":"s","action":"a"}"#,
            "/user_id: is required",
        ),
        (
            r#"{"user_id":1,"service_id":"s","action":"a"}"#,
            "/user_id: must be a string",
        ),
        (
            r#"{"user_id":"u","action":"a"}"#,
            "/service_id: is required",
        ),
        (
            r#"{"user_id":"u","service_id":"s"}"#,
            "/action: is required",
        ),
        (
            r#"{"user_id":"u","service_id":"s","action":"a","context":[]}"#,
            "/context: must be an object",
        ),
    ] {
        let found = access_as(&program, AccessRequest::Check(body.as_bytes()), None);
        assert_eq!(found, error);
    }
}

#[test]
fn both_kinds_apply_and_either_may_deny() {
    let yaml = format!(
        "{SERVICES}\n---\n{}",
        "
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: services}
spec:
  resources: [service]
  rules:
    - {id: admins, effect: allow, actions: [read], roles: [admin]}
"
    );
    let program = program(&yaml);
    let at = |roles: &str| {
        check(
            &program,
            "ann",
            &format!(r#"{{"roles":"{roles}","ip_address":"10.0.0.1"}}"#),
            None,
        )
    };
    assert_eq!(at("admin"), "allow admins");
    assert_eq!(at("operator"), "no match");
    assert_eq!(
        at("guest"),
        "one of these roles is required: admin, operator"
    );
    assert_eq!(
        check(&program, "mallory", r#"{"roles":"admin"}"#, None),
        "blocked by callers"
    );
}

#[test]
fn any_resource_and_any_action() {
    let program = program(
        "
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: all}
spec:
  resources: ['*']
  rules:
    - {id: any, effect: allow}
    - {id: never, effect: deny, actions: [delete]}
",
    );
    assert_eq!(access(&program, &ask("whatever", "{}", "{}")), "allow any");
    assert_eq!(access(&program, &ask("delete", "{}", "{}")), "deny never");
}
