//! HTTP rules: templates, effects, what a client cannot forge.

use super::*;
use crate::engine::canonical_request::canonical_request;
use crate::model::AccessReason;

const RULES: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: web}
spec:
  roles:
    staff: jwt.dept == "it"
  http:
    - id: public
      effect: allow
      methods: [GET, HEAD]
      paths: ["/public/{rest*}", "/healthz"]
    - id: own-account
      effect: allow
      methods: [GET]
      paths: ["/accounts/{id}"]
      condition: jwt.sub == params.id
      on_allow:
        set_headers: {x-account: params.id, x-tier: "jwt.?tier.optMap(t, t)"}
        metadata: {who: "{'id': params.id}"}
    - id: admin
      effect: allow
      paths: ["/admin/{any*}"]
      hosts: [admin.example.com]
      roles: [root, staff]
    - id: tagged
      effect: allow
      paths: ["/tag"]
      on_allow:
        set_headers: {x-tag: "http.query.v"}
    - id: maintenance
      effect: deny
      paths: ["/{any*}"]
      condition: data.maintenance
      on_deny: {status: 503, headers: {retry-after: "'30'"}, body: "'back soon'"}
    - id: bad
      effect: deny
      paths: ["/bad"]
      on_deny: {status: 404, headers: {x-a: "jwt.missing"}}
tests:
  - name: own account
    http: {method: GET, path: /accounts/7}
    jwt: {sub: "7"}
    expect: {allowed: true, rule: own-account, status: 200, headers: {x-account: "7"}}
"#;

fn web(maintenance: bool) -> Program {
    let data = format!("{{\"maintenance\":{maintenance}}}");
    compile_with(RULES, &data, Compiler::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Status, rule, then `+name=value`, `-name` and `>name=value` of changes, and the body.
fn ask(
    program: &Program,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    claims: Option<&str>,
) -> String {
    let arena = bumpalo::Bump::new();
    let canonical = canonical_request(target, host, &[], &arena).unwrap();
    let scratch = Scratch::default();
    let mut context = context();
    context.claims = claims.map(str::as_bytes);
    let request = HttpRequest {
        method: "GET",
        path: canonical.path,
        query: canonical.query,
        headers,
        host: canonical.host,
        scheme: "https",
        body: None,
        source: None,
        destination: None,
        sni: None,
        extensions: &[],
        metadata: None,
        key: None,
    };
    let answer = program.http(&request, &context, &scratch).unwrap();
    assert_eq!(answer.access.allowed, answer.status == 200);
    let mut out = vec![answer.status.to_string()];
    if let AccessReason::Allowed { rule, .. } | AccessReason::Denied { rule, .. } =
        answer.access.reason
    {
        out.push(rule.to_owned());
    }
    let named =
        |sign: &str, header: &HttpHeader<'_>| format!("{sign}{}={}", header.name, header.value);
    out.extend(answer.set_headers.iter().map(|header| named("+", header)));
    out.extend(answer.remove_headers.iter().map(|name| format!("-{name}")));
    out.extend(
        answer
            .response_headers
            .iter()
            .map(|header| named(">", header)),
    );
    out.extend(
        answer
            .metadata
            .iter()
            .map(|(name, json)| format!("{name}:{json}")),
    );
    out.extend(answer.body.map(str::to_owned));
    out.join(" ")
}

#[test]
fn rules_and_captures() {
    let program = web(false);
    let get = |target: &str, claims: Option<&str>| ask(&program, target, "h", &[], claims);
    assert_eq!(
        get("/public/a/b", None),
        "200 public -x-account -x-tag -x-tier"
    );
    assert_eq!(
        get("/healthz", None),
        "200 public -x-account -x-tag -x-tier"
    );
    assert_eq!(get("/else", None), "403");
    let jwt = Some(r#"{"sub":"7"}"#);
    assert_eq!(
        get("/accounts/7", jwt),
        r#"200 own-account +x-account=7 -x-tag -x-tier who:{"id":"7"}"#
    );
    assert_eq!(get("/accounts/8", jwt), "403");
    assert_eq!(get("/accounts/7", None), "403");
    let tiered = Some(r#"{"sub":"7","tier":"gold"}"#);
    assert_eq!(
        get("/accounts/7", tiered),
        r#"200 own-account +x-account=7 +x-tier=gold -x-tag who:{"id":"7"}"#
    );
}

#[test]
fn hosts_and_roles() {
    let program = web(false);
    let admin = |host: &str, claims: &str| ask(&program, "/admin/x", host, &[], Some(claims));
    let allowed = "200 admin -x-account -x-tag -x-tier";
    assert_eq!(
        admin("Admin.Example.com:443", r#"{"role":"root"}"#),
        allowed
    );
    assert_eq!(admin("admin.example.com", r#"{"dept":"it"}"#), allowed);
    assert_eq!(admin("admin.example.com", r#"{"dept":"hr"}"#), "403");
    assert_eq!(admin("example.com", r#"{"role":"root"}"#), "403");
}

#[test]
fn what_policies_set_cannot_be_forged() {
    let program = web(false);
    let headers = [
        ("x-account", "1"),
        ("x-lictor-revision", "9"),
        ("x-other", "1"),
    ];
    assert_eq!(
        ask(&program, "/healthz", "h", &headers, None),
        "200 public -x-account -x-lictor-revision -x-tag -x-tier"
    );
}

#[test]
fn a_value_that_cannot_be_sent_denies() {
    let program = web(false);
    let tag = |query: &str| ask(&program, &format!("/tag{query}"), "h", &[], None);
    assert_eq!(tag("?v=1"), "200 tagged +x-tag=1 -x-account -x-tier");
    assert_eq!(tag(""), "403");
    assert_eq!(tag("?v=a%0d%0ax-evil:1"), "403");
    assert_eq!(tag("?v=1&v=2"), "403");
}

#[test]
fn denials() {
    let down = web(true);
    assert_eq!(
        ask(&down, "/healthz", "h", &[], None),
        "503 maintenance >retry-after=30 back soon"
    );
    // A value of `on_deny` that fails makes it a plain 403.
    assert_eq!(ask(&web(false), "/bad", "h", &[], None), "403 bad");
    // Without the data the condition of the deny rule fails: it counts as true.
    let blind = compile_with(RULES, "{}", Compiler::default()).unwrap();
    assert!(ask(&blind, "/healthz", "h", &[], None).starts_with("503"));
}

#[test]
fn own_tests_and_loading() {
    let program = web(false);
    let now = Timestamp::from_unix_seconds(NOW);
    assert_eq!(program.self_test(now, Limits::default()).unwrap().passed, 1);
    // Rules for HTTP requests decide no AuthZEN question.
    assert!(!program.decides_access());
}
