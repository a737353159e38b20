//! Who may ask for what, and what is refused before anybody looks at it.

use serde_json::json;

use super::plane::{Changes, Plane};
use crate::support::{Http, lictor};

const ROLES: [&str; 8] = [
    "system_admin",
    "tenant_admin",
    "agent_operator",
    "policy_author",
    "auditor",
    "viewer",
    "agent",
    "sidecar",
];

/// Every route, and who may use it: one letter per role in the order of `ROLES`.
const ROUTES: [(&str, &str, &str); 15] = [
    ("GET", "/api/v1/policies", "STOPAVG."),
    ("POST", "/api/v1/policies", "ST.P...."),
    ("GET", "/api/v1/policies/bundle", "STO....s"),
    ("GET", "/api/v1/policies/p", "STOPAVG."),
    ("GET", "/api/v1/policies/p/content", "STOPAVG."),
    ("GET", "/api/v1/policies/p/versions", "STOPAVG."),
    ("POST", "/api/v1/policies/p/versions", "ST.P...."),
    ("GET", "/api/v1/policies/p/versions/1.0.0", "STOPAVG."),
    (
        "PUT",
        "/api/v1/policies/p/versions/1.0.0/testing",
        "ST......",
    ),
    ("PUT", "/api/v1/policies/p/activate", "ST......"),
    ("POST", "/api/v1/policies/p/verify", "ST..A..."),
    ("GET", "/api/v1/bundles/active", "STO....s"),
    ("GET", "/api/v1/bundles/active/download", "STO....s"),
    ("GET", "/api/v1/sidecars", "STO.AV.."),
    ("PUT", "/api/v1/sidecars/pod-1/status", ".......s"),
];

#[test]
fn roles_may_what_the_table_says_and_nobody_anything_without_a_token() {
    let mut plane = Plane::start();
    for (index, role) in ROLES.into_iter().enumerate() {
        let mut client = plane.client(role);
        for (method, path, row) in ROUTES {
            let status = client.send(method, path, &[], "{}").status;
            let allowed = row.as_bytes()[index] != b'.';
            assert_eq!(status != 403, allowed, "{role} {method} {path}: {status}");
            assert_ne!(status, 401);
        }
    }
    let mut nobody = Http::tcp(plane.lictor.address("control_plane"));
    for (method, path, _) in ROUTES {
        let answer = nobody.send(method, path, &[], "{}");
        assert_eq!(answer.status, 401, "{method} {path}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_eq!(nobody.get("/metrics").status, 401);
    assert_eq!(nobody.get("/api/v1/unknown").status, 401);
    for path in [
        "/health",
        "/health/live",
        "/health/ready",
        "/health/details",
    ] {
        let answer = nobody.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text().contains("acme"));
    }
    let page = plane.client("auditor").get("/metrics");
    assert!(page.text().contains("lictor_publications_total") || page.status == 200);
    assert!(page.text().contains("lictor_control_plane_requests_total"));
}

#[test]
fn the_tenant_comes_from_the_token_alone() {
    let mut plane = Plane::start();
    let mut admin = plane.client("tenant_admin");
    let named = |tenant| [("x-tenant-id", tenant)];
    assert_eq!(
        admin
            .send("GET", "/api/v1/policies", &named("acme"), "")
            .status,
        200
    );
    assert_eq!(
        admin
            .send("GET", "/api/v1/policies", &named("other"), "")
            .status,
        403
    );
    assert_eq!(
        admin
            .send("GET", "/api/v1/policies", &named("a/b"), "")
            .status,
        422
    );
    let hash = [("x-constitutional-hash", "0000000000000000")];
    assert_eq!(admin.send("GET", "/api/v1/policies", &hash, "").status, 403);
    let origin = [("origin", "https://evil.example")];
    assert_eq!(
        admin.send("GET", "/api/v1/policies", &origin, "").status,
        403
    );
    let host = [("host", "evil.example")];
    assert_eq!(admin.send("GET", "/api/v1/policies", &host, "").status, 403);
}

#[test]
fn a_token_that_does_not_hold_is_never_anonymous() {
    let changes = Changes {
        lines: "anonymous_reads: public\n".into(),
        ..Changes::default()
    };
    let mut plane = Plane::start_with(&changes);
    let token = plane.token_of("public", &["tenant_admin"]);
    let mut admin = plane.client_with(&token);
    admin.create("open", &json!({"a": 1}));
    let number = admin.activate("open", "1.0.0");
    admin.bundle(number);
    let mut nobody = Http::tcp(plane.lictor.address("control_plane"));
    assert_eq!(nobody.get("/api/v1/policies/open/content").json()["a"], 1);
    assert_eq!(nobody.get("/api/v1/policies/bundle").status, 200);
    assert_eq!(nobody.get("/api/v1/sidecars").status, 401);
    assert_eq!(
        nobody
            .post("/api/v1/policies", &json!({"name": "x"}))
            .status,
        401
    );
    let forged = format!("Bearer {}", token.replace('.', ".A"));
    for authorization in ["Bearer x", "Basic YTpi", "Bearer ", &forged] {
        let headers = [("authorization", authorization)];
        let answer = nobody.send("GET", "/api/v1/policies", &headers, "");
        assert_eq!(answer.status, 401, "{authorization}");
    }
    let other = [("x-tenant-id", "acme")];
    assert_eq!(
        nobody.send("GET", "/api/v1/policies", &other, "").status,
        403
    );
    let posing = plane.token_of("acme", &["anonymous"]);
    assert_eq!(
        plane.client_with(&posing).get("/api/v1/policies").status,
        403
    );
}

#[test]
fn garbage_is_refused_by_name() {
    let mut plane = Plane::start();
    let mut admin = plane.client("system_admin");
    let deep = format!(
        "{{\"name\":\"d\",\"content\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let long = "n".repeat(256);
    for (path, body, status, code) in [
        ("/api/v1/policies", "{", 422, "invalid_request"),
        ("/api/v1/policies", "[]", 422, "invalid_request"),
        ("/api/v1/policies", "{}", 422, "invalid_request"),
        (
            "/api/v1/policies",
            r#"{"name":"n","contents":{}}"#,
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies",
            r#"{"name":"n","content":[]}"#,
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies",
            r#"{"name":"n","format":"xml"}"#,
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies",
            r#"{"name":"bundle"}"#,
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies",
            r#"{"name":"a\u0000b"}"#,
            422,
            "invalid_request",
        ),
        ("/api/v1/policies", &deep, 422, "invalid_request"),
        (
            &format!("/api/v1/policies?name={long}"),
            "{}",
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies/p/versions?version=1.0",
            "{}",
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies/p/versions?version=1.0.0-x",
            "{}",
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies/p/versions?version=1.0.0&ab_test_group=C",
            "{}",
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies/p/versions",
            r#"{"apiVersion":"lictor.dev/v1"}"#,
            422,
            "invalid_request",
        ),
        (
            "/api/v1/policies/p/versions?version=1.0.0",
            "{}",
            404,
            "not_found",
        ),
        ("/api/v1/unknown", "{}", 404, "not_found"),
        ("/api/v1/sidecars", "{}", 405, "method_not_allowed"),
    ] {
        let answer = admin.send("POST", path, &[], body.to_owned());
        let shown: String = path.chars().take(80).collect();
        assert_eq!(answer.status, status, "{shown} {}", answer.text());
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{shown}");
        let asked = path.split('?').next().unwrap().trim_end_matches('/');
        if let Some(instance) = problem["instance"].as_str() {
            assert_eq!(instance, asked, "{shown}");
        }
        assert!(problem["detail"].is_string() && problem["errors"].is_array());
        assert_eq!(problem["error"]["message"], problem["detail"]);
    }
}

#[test]
fn wrong_queries_types_and_sizes_are_refused() {
    let mut plane = Plane::start();
    let mut admin = plane.client("system_admin");
    for query in [
        "status=odd",
        "limit=-1",
        "limit=x",
        "offset=99999999999999999999",
    ] {
        let answer = admin.get(&format!("/api/v1/policies?{query}"));
        assert_eq!(answer.status, 422, "{query}");
    }
    let text = [("content-type", "text/plain")];
    assert_eq!(
        admin.send("POST", "/api/v1/policies", &text, "{}").status,
        415
    );
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(5 * 1024 * 1024));
    assert_eq!(
        admin.send("POST", "/api/v1/policies", &[], large).status,
        413
    );
    let mut sidecar = plane.client("sidecar");
    let status = format!("{{\"a\":\"{}\"}}", "x".repeat(70 * 1024));
    let path = "/api/v1/sidecars/pod/status";
    assert_eq!(sidecar.send("PUT", path, &[], status).status, 413);
    assert_eq!(sidecar.send("PUT", path, &[], "[]").status, 422);
    assert_eq!(
        sidecar
            .send("PUT", "/api/v1/sidecars/a%20b/status", &[], "{}")
            .status,
        422
    );
    let bad = [("if-none-match", "sha256:abc")];
    assert_eq!(
        sidecar
            .send("GET", "/api/v1/policies/bundle", &bad, "")
            .status,
        422
    );
    let mut admin = plane.client("system_admin");
    let uri = format!("/api/v1/policies/{}", "u".repeat(9 * 1024));
    assert_eq!(admin.get(&uri).status, 414);
}

#[test]
fn it_refuses_to_start_where_that_would_open_something() {
    let plane = Plane::start();
    let config = std::fs::read_to_string(plane.file("control-plane.yaml")).unwrap();
    let kept: Vec<_> = config
        .lines()
        .filter(|line| !line.starts_with("identity"))
        .collect();
    let without_issuer = kept.join("\n");
    let refuse = |text: &str, flags: &[&str], word: &str| {
        let file = plane.file("changed.yaml");
        std::fs::write(&file, text).unwrap();
        let output = lictor()
            .args(["control-plane", "--config", file.to_str().unwrap()])
            .args(flags)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word), "{word} is not in {said}");
    };
    refuse(&without_issuer, &[], "lictor key generate");
    refuse(&config, &["--listen", "0.0.0.0:0"], "--insecure-plaintext");
    let open = [
        "--listen",
        "0.0.0.0:0",
        "--insecure-plaintext",
        "--insecure-no-auth",
    ];
    refuse(&without_issuer, &open, "loopback only");
    refuse(&config, &["--insecure-no-auth"], "contradict");
    refuse(
        &config.replace("keyring:", "keyrings:"),
        &[],
        "did you mean `keyring`",
    );
    let wide = plane.file("k1.pem");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(wide, mode).unwrap();
    refuse(&config, &[], "chmod 600");
}

#[test]
fn without_authentication_everybody_may_and_it_says_so() {
    let changes = Changes {
        lines: "insecure_no_auth: true\n".into(),
        ..Changes::default()
    };
    let mut plane = Plane::start_with(&changes);
    let mut nobody = Http::tcp(plane.lictor.address("control_plane"));
    let answer = nobody.post("/api/v1/policies", &json!({"name": "free"}));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["tenant_id"], "default");
    plane.lictor.wait_for("the warning", |lictor| {
        let said = lictor.stderr().join("\n");
        said.contains("no authentication").then_some(())
    });
}
