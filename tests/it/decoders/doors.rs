//! Decoders behind the doors of running programs: whatever comes, they answer, and go on as if nothing had been.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use lictor::api::policy_engine::v1::policy_rule::Rule;
use lictor::api::policy_engine::v1::{
    CheckAccessRequest, CreatePolicyRequest, DataResidencyRule, ListPoliciesRequest, Policy,
    PolicyRule, UpdatePolicyRequest, ValidateConsumptionRequest, ValidateServiceRequest,
};
use lictor::policy::Format;
use prost::Message as _;
use serde_json::{Value, json};

use crate::control_plane::plane::Plane;
use crate::decision_log::{LogService, log};
use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::grpc::{Grpc, framed};
use crate::support::mutate::hold;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;
use crate::support::{Answer, Http};

const POLICIES: &str = include_str!("../http/policies.yaml");
const WEB: &str = r#"
apiVersion: lictor.dev/v1
kind: AccessPolicy
metadata: {name: web}
spec:
  http:
    - {id: public, effect: allow, paths: ["/public/{rest*}"], condition: 'http.body.a == 1 || http.query.a == "1"'}
"#;

/// A sidecar under siege.
struct Siege {
    sidecar: Sidecar,
    http: RefCell<Http>,
}

impl Siege {
    fn lay() -> Self {
        let pod = Pod::new();
        let policies = documents(&format!("{POLICIES}---{WEB}"), Format::Yaml);
        let data: [(&str, &[u8]); 2] = [
            ("todo/data.json", include_bytes!("../http/todo.json")),
            ("authzen/data.json", br#"{"subjects":[{"type":"user","id":"alice"}],"resources":[{"type":"record","id":"1"}]}"#),
        ];
        pod.put(&bundle_of(1, policies, &data, &[&signing_key()]));
        pod.configure(&json!({
            "limits": {"header_timeout": "2s", "body_timeout": "2s"},
            "opa": {"allow_unsigned": false},
        }));
        let mut sidecar = pod.start();
        sidecar.wait_ready();
        let http = RefCell::new(sidecar.http());
        Self { sidecar, http }
    }

    /// Posts on the one connection, and on a new one where the sidecar closed it.
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut http = self.http.borrow_mut();
        let answer = http.try_send("POST", path, headers, body.to_vec());
        answer.unwrap_or_else(|_| {
            *http = self.sidecar.http();
            http.send("POST", path, headers, body.to_vec())
        })
    }

    /// It decides as before, no evaluation panicked, and what it holds is bounded.
    fn stands(&self) {
        let body =
            json!({"user_id": "user-1", "service_id": "s", "action": "invoke", "context": {}});
        let answer = self.sidecar.post("/v1/access/check", &body.to_string());
        assert_eq!(answer.json()["allowed"], true, "{}", answer.text());
        let page = self.sidecar.metrics();
        let panics = page
            .lines()
            .filter(|line| line.starts_with("lictor_panics_total"));
        assert!(panics.clone().count() > 0 && panics.clone().all(|line| line.ends_with(" 0")));
        let resident = self
            .sidecar
            .metric("process_resident_memory_bytes")
            .unwrap();
        assert!(resident < 1e9, "{resident} bytes");
    }
}

fn shape(answer: &Answer, kind: &str, text: &[u8]) {
    let shown = || {
        format!(
            "{} {} for {}",
            answer.status,
            answer.text(),
            String::from_utf8_lossy(text)
        )
    };
    assert!(
        matches!(answer.status, 200 | 400..=499 | 503),
        "{}",
        shown()
    );
    if answer.status == 200 {
        return;
    }
    match kind {
        "problem" => {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{}",
                shown()
            );
            assert!(answer.json()["code"].is_string(), "{}", shown());
        }
        "authzen" => assert!(answer.json().is_string(), "{}", shown()),
        "ofrep" => assert!(answer.json().is_object(), "{}", shown()),
        _ => assert!(answer.json()["code"].is_string(), "{}", shown()),
    }
}

const BODIES: [&str; 8] = [
    r#"{"consumer_id":"c","service_id":"s","service_category":"t","request_data":{"prompt":"p","max_tokens":1},"metadata":{"ip_address":"10.0.0.1","user_agent":"u"}}"#,
    r#"{"consumer_id":"c","service_id":"s","data_location":"DE"}"#,
    r#"{"environment":"production","endpoint":{"url":"http://a"},"client_id":"c","n":[1,2.5e3,"\u00e9"]}"#,
    r#"{"user_id":"user-1","service_id":"s-1","action":"invoke","context":{"roles":["a"],"ip_address":"10.0.0.1"}}"#,
    r#"{"consumer_id":"c-1","service_id":"s-1","request_payload":"{\"a\":[1,2]}","headers":{"x":"y"},"context":{}}"#,
    r#"{"experiment":"checkout","key":"client-7","context":{"country":"DE","targetingKey":"k"}}"#,
    r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"1"},"evaluations":[{},{"context":{}}],"page":{"limit":1}}"#,
    r#"{"input":{"user":"a","list":[1,2]},"query":"data.todo.users[x]","unknowns":["input"]}"#,
];

#[test]
fn bodies_of_the_main_listener() {
    let siege = Siege::lay();
    let json = [("content-type", "application/json")];
    hold(&BODIES, |body| {
        for (path, kind) in [
            ("/v1/validate?explain=full", "problem"),
            ("/v1/access/check", "problem"),
            ("/v1/consumption/validate", "problem"),
            ("/v1/variant", "problem"),
            ("/access/v1/evaluation", "authzen"),
            ("/access/v1/evaluations", "authzen"),
            ("/access/v1/search/subject", "authzen"),
            ("/access/v1/search/action", "authzen"),
            ("/access/v1/search/resource", "authzen"),
            ("/ofrep/v1/evaluate/flags", "ofrep"),
            ("/ofrep/v1/evaluate/flags/checkout", "ofrep"),
            ("/api/v1/validate/consumption", "problem"),
            ("/api/v1/compliance/data-residency", "problem"),
        ] {
            shape(&siege.post(path, &json, body), kind, body);
        }
    });
    siege.stands();
}

#[test]
fn bodies_of_opas_api() {
    let siege = Siege::lay();
    hold(&BODIES, |body| {
        for (path, media) in [
            ("/v1/data/todo/users?metrics&pretty", "application/json"),
            ("/v1/data", "application/yaml"),
            ("/v0/data/todo", "application/json"),
            ("/v1/query", "application/json"),
            ("/v1/compile", "application/json"),
            ("/", "application/json"),
        ] {
            let answer = siege.post(path, &[("content-type", media)], body);
            assert!(
                matches!(answer.status, 200 | 400..=499 | 500 | 501),
                "{path}: {}",
                answer.text()
            );
            // OPA answers 500 for what an evaluation makes of it, never for a body.
            if answer.status == 500 {
                assert_eq!(answer.json()["code"], "internal_error", "{}", answer.text());
            }
        }
    });
    siege.stands();
}

#[test]
fn gzip_bodies() {
    let siege = Siege::lay();
    let packed: Vec<Vec<u8>> = BODIES
        .iter()
        .map(|body| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(body.as_bytes()).unwrap();
            gzip.finish().unwrap()
        })
        .collect();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(b' ').take(64 << 20), &mut bomb).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 128 * 1024);
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let ask = |body: &[u8]| siege.post("/v1/data/todo", &headers, body);
    assert!((400..500).contains(&ask(&bomb).status));
    hold(&packed, |body| {
        let answer = ask(body);
        assert!(
            matches!(answer.status, 200 | 400..=499),
            "{}",
            answer.text()
        );
    });
    siege.stands();
}

/// What a server says to these bytes, within a limit.
fn raw(address: SocketAddr, text: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut answer = Vec::new();
    // A server may have closed it already.
    if stream.write_all(text).is_ok() {
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut answer);
    }
    answer
}

#[test]
fn request_lines_and_headers() {
    let siege = Siege::lay();
    let address = siege.sidecar.http;
    let body = r#"{"environment":"test"}"#;
    let examples = [
        format!("POST /v1/validate?explain=full HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx-lictor-min-revision: 1-0123456789ab\r\nprefer: wait=0\r\nx-request-id: r-1\r\nx-tenant-id: acme\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
        "GET /authz/public/a%20b?a=1&a=%32 HTTP/1.1\r\nhost: api.example:443\r\nx-forwarded-proto: https\r\ncontent-type: multipart/form-data; boundary=x\r\ncookie: a=b\r\ncontent-length: 44\r\n\r\n--x\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n".to_owned(),
        "GET /v1/data/todo/users/a%2fb?pretty=true&input=%7B%22a%22%3A1%7D&explain=full&metrics HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip;q=0.5, *\r\nif-none-match: \"a\", W/\"b\"\r\n\r\n".to_owned(),
        "GET /api/v1/policies/7f3b1c1e-4a5b-4c6d-8e7f-0123456789ab/content?client_id=a%20b HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a.b.c\r\norigin: http://x\r\n\r\n".to_owned(),
        "GET /api/v1/access/check?consumer_id=user%2D1&service_id=s+1 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        "POST /v1/access/check HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n2\r\n{}\r\n0\r\nx: y\r\n\r\n".to_owned(),
    ];
    hold(&examples, |text| {
        let answer = raw(address, text);
        if answer.is_empty() {
            return;
        }
        let head = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
        assert!(head.starts_with("HTTP/1."), "{head}");
        assert!(
            !head.contains(" 500 "),
            "{head} for {}",
            String::from_utf8_lossy(text)
        );
    });
    siege.stands();
}

fn calls() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "/policyengine.v1.PolicyEngineService/ValidateService",
            ValidateServiceRequest {
                name: "search".into(),
                ..ValidateServiceRequest::default()
            }
            .encode_to_vec(),
        ),
        (
            "/policyengine.v1.PolicyEngineService/CheckAccess",
            CheckAccessRequest {
                user_id: "user-1".into(),
                service_id: "s-1".into(),
                action: "invoke".into(),
                context: [("roles".to_owned(), "a,b".to_owned())].into(),
            }
            .encode_to_vec(),
        ),
        (
            "/policyengine.v1.PolicyEngineService/ValidateConsumption",
            ValidateConsumptionRequest {
                consumer_id: "c-1".into(),
                service_id: "s-1".into(),
                ..ValidateConsumptionRequest::default()
            }
            .encode_to_vec(),
        ),
        // Envoy's CheckRequest: attributes.request.http with a method, a path, a host and a header.
        (
            "/envoy.service.auth.v3.Authorization/Check",
            b"\x0a\x2f\x22\x2d\x12\x2b\x12\x03GET\x1a\x06\x0a\x01a\x12\x01b\x22\x09/public/a\x2a\x09a.example\x52\x04http\x00".to_vec(),
        ),
    ]
}

#[test]
fn messages_of_the_grpc_listener() {
    let siege = Siege::lay();
    let grpc = RefCell::new(Grpc::tcp(siege.sidecar.grpc));
    let examples: Vec<Vec<u8>> = calls().into_iter().map(|(_, message)| message).collect();
    hold(&examples, |message| {
        for (path, _) in calls() {
            let ended = grpc.borrow_mut().call(path, message);
            assert_eq!(ended.status, 200);
            // OK, INVALID_ARGUMENT, FAILED_PRECONDITION, UNAVAILABLE, and what a message that cannot be read is to gRPC.
            assert!(
                matches!(ended.code, 0 | 3 | 9 | 13 | 14),
                "{path}: {} {}",
                ended.code,
                ended.text
            );
            if ended.code == 13 {
                assert!(
                    ended.text.contains("decode") || ended.text.contains("message"),
                    "{}",
                    ended.text
                );
            }
        }
    });
    // Broken frames: the connection is the caller's own.
    let framed: Vec<Vec<u8>> = examples
        .iter()
        .map(|message| framed(message).to_vec())
        .collect();
    hold(&framed, |body| {
        let path = calls()[0].0;
        let ended = Grpc::tcp(siege.sidecar.grpc).call_with(path, &[], body.to_vec());
        assert!(
            ended.status == 200 && ended.code != 2,
            "{} {}",
            ended.code,
            ended.text
        );
    });
    siege.stands();
}

/// A control plane under siege, and its number of policies.
fn counted(plane: &mut Plane) -> usize {
    let answer = plane.client("tenant_admin").get("/api/v1/policies");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().unwrap().len()
}

#[test]
fn bodies_of_the_control_plane() {
    let mut plane = Plane::start();
    let client = RefCell::new(plane.client("tenant_admin"));
    let sidecar = RefCell::new(plane.client("sidecar"));
    let first = client.borrow_mut().create("first", &json!({"v": 1}));
    let examples = [
        json!({"name": "p", "content": {"v": 1}, "description": "d", "tags": ["a"]}).to_string(),
        json!({"name": "q", "content": {"apiVersion": "lictor.dev/v1", "kind": "AccessPolicy", "metadata": {"name": "q"}, "spec": {"resources": ["*"], "rules": [{"id": "a", "effect": "allow"}]}}}).to_string(),
        json!({"revision": "1-000000000000", "last_error": {"step": 5, "code": "untrusted"}, "version": "0.1.0", "since": "2026-01-01T00:00:00Z"}).to_string(),
        json!({"input": {"a": 1}, "version": "1.0.0"}).to_string(),
    ];
    hold(&examples, |body| {
        for path in [
            "/api/v1/policies".to_owned(),
            "/api/v1/policies?name=n".to_owned(),
            format!("/api/v1/policies/{first}/versions"),
            format!("/api/v1/policies/{first}/versions?version=2.0.0"),
            format!("/api/v1/policies/{first}/verify?version=1.0.0"),
        ] {
            let answer = client.borrow_mut().send("POST", &path, &[], body.to_vec());
            assert!(
                answer.status < 500,
                "{path}: {} for {}",
                answer.text(),
                String::from_utf8_lossy(body)
            );
        }
        let answer =
            sidecar
                .borrow_mut()
                .send("PUT", "/api/v1/sidecars/pod-1/status", &[], body.to_vec());
        assert!(answer.status < 500, "{}", answer.text());
    });
    assert!(counted(&mut plane) >= 1);
}

#[test]
fn lists_of_the_control_plane() {
    let mut plane = Plane::start();
    plane
        .client("tenant_admin")
        .create("first", &json!({"v": 1}));
    let token = format!("Bearer {}", plane.token("tenant_admin"));
    let grpc = RefCell::new(Grpc::tcp(plane.lictor.address("control_plane_grpc")));
    let examples = [
        "type=SECURITY AND enabled=true",
        "name!=\"a b\" AND metadata.team=x",
        "created_at desc, name",
        "severity asc,name desc",
        "eyJhIjoxfQ",
    ];
    hold(&examples, |text| {
        let text = String::from_utf8_lossy(text).into_owned();
        for request in [
            ListPoliciesRequest {
                filter: text.clone(),
                ..ListPoliciesRequest::default()
            },
            ListPoliciesRequest {
                order_by: text.clone(),
                page_size: 1,
                ..ListPoliciesRequest::default()
            },
            ListPoliciesRequest {
                page_token: text.clone(),
                page_size: i32::MAX,
                ..ListPoliciesRequest::default()
            },
        ] {
            let path = "/policyengine.v1.PolicyEngineService/ListPolicies";
            let headers = [("authorization", token.as_str())];
            let body = framed(&request.encode_to_vec());
            let ended = grpc.borrow_mut().call_with(path, &headers, body);
            assert!(
                matches!(ended.code, 0 | 3),
                "{}: {} for {text}",
                ended.code,
                ended.text
            );
        }
    });
    assert_eq!(counted(&mut plane), 1);
}

#[test]
fn messages_of_the_control_plane() {
    let mut plane = Plane::start();
    let token = format!("Bearer {}", plane.token("tenant_admin"));
    let grpc = RefCell::new(Grpc::tcp(plane.lictor.address("control_plane_grpc")));
    let policy = Policy {
        name: "residency".into(),
        severity: "high".into(),
        enabled: true,
        rule: Some(PolicyRule {
            rule: Some(Rule::DataResidency(DataResidencyRule {
                blocked_countries: vec!["KP".into()],
                ..DataResidencyRule::default()
            })),
        }),
        metadata: [("category".to_owned(), "compliance".to_owned())].into(),
        ..Policy::default()
    };
    let create = CreatePolicyRequest {
        policy: Some(policy.clone()),
    };
    let update = UpdatePolicyRequest {
        policy: Some(policy),
        ..UpdatePolicyRequest::default()
    };
    hold(
        &[create.encode_to_vec(), update.encode_to_vec()],
        |message| {
            for method in [
                "CreatePolicy",
                "UpdatePolicy",
                "GetPolicy",
                "DeletePolicy",
                "CheckAccess",
            ] {
                let path = format!("/policyengine.v1.PolicyEngineService/{method}");
                let headers = [("authorization", token.as_str())];
                let ended = grpc
                    .borrow_mut()
                    .call_with(&path, &headers, framed(message));
                assert_eq!(ended.status, 200);
                assert!(
                    !matches!(ended.code, -1 | 2),
                    "{method}: {} {}",
                    ended.code,
                    ended.text
                );
                if ended.code == 13 {
                    assert!(
                        ended.text.contains("decode") || ended.text.contains("message"),
                        "{}",
                        ended.text
                    );
                }
            }
        },
    );
    counted(&mut plane);
}

/// A process that was killed may leave anything; the next one sends what is whole, and its own events.
#[test]
fn files_of_the_spool() {
    let examples = ["{\"decision_id\":\"a\",\"x\":1}\n{\"decision_id\":\"b\"}\n"];
    let left = RefCell::new(Vec::new());
    // One process for all of them.
    hold(&examples, |text| left.borrow_mut().push(text.to_vec()));
    let service = LogService::start();
    let pod = Pod::new();
    let policies = documents(POLICIES, Format::Yaml);
    let data: [(&str, &[u8]); 1] = [("todo/data.json", include_bytes!("../http/todo.json"))];
    pod.put(&bundle_of(1, policies, &data, &[&signing_key()]));
    std::fs::create_dir(pod.path("events")).unwrap();
    for (number, text) in left.borrow().iter().enumerate() {
        std::fs::write(pod.path(&format!("events/{number:020}.jsonl")), text).unwrap();
    }
    pod.configure(&json!({"decision_log": log(&service, &pod)}));
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    let answer = sidecar.post("/v1/validate", r#"{"environment":"test"}"#);
    let id = answer.json()["decision_id"].clone();
    service.wait("an event behind the broken ones", |state| {
        state
            .events
            .iter()
            .any(|event: &Value| event["decision_id"] == id)
    });
}
