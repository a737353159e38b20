//! Spans, as a collector gets them from the running programs.

mod collector;

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::control_plane::plane::{Changes, Plane};
use crate::support::bundle::bundle;
use crate::support::grpc::{Grpc, framed};
use crate::support::pod::Pod;
use crate::support::sidecar::{Sidecar, validate};
use crate::support::{Http, lictor};

use collector::{Collector, Span};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const BODY: &str = r#"{"service":"payments","secret":"hunter2"}"#;

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

fn traced(tracing: &Value, more: &Value) -> Sidecar {
    let pod = Pod::new();
    pod.put(&bundle(1, "red"));
    let mut config = json!({"tracing": tracing});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    pod.configure(&config);
    let mut sidecar = pod.start();
    sidecar.wait_ready();
    sidecar
}

fn ask(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Value {
    let answer = sidecar.post_with("/v1/validate", headers, BODY);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn a_decision_is_a_span_of_its_callers_trace() {
    let collector = Collector::start();
    let pod = Pod::new();
    let headers = pod.path("headers");
    std::fs::write(&headers, "x-api-key: s3cret\n").unwrap();
    let tracing = json!({"endpoint": collector.url(), "headers_file": headers, "sample_ratio": 0});
    let mut sidecar = traced(&tracing, &json!({}));
    let decided = ask(&sidecar, &[("traceparent", &traceparent("01"))]);
    let span = collector.wait_for("the decision", |span| span.name == "decide");
    assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, CALLER));
    assert_eq!((span.service.as_str(), span.kind), ("lictor-sidecar", 2));
    assert!(span.nanos > 0 && span.nanos < 60_000_000_000);
    for (name, value) in [
        ("lictor.door", "http"),
        ("lictor.kind", "validate"),
        ("lictor.outcome", "negative"),
        (
            "lictor.decision_id",
            decided["decision_id"].as_str().unwrap(),
        ),
        ("lictor.revision", decided["revision"].as_str().unwrap()),
    ] {
        assert_eq!(span.attributes[name], value, "{name}");
    }
    assert_eq!(collector.header("x-api-key").unwrap(), "s3cret");
    // Counted once the collector has said yes.
    let admin = sidecar.admin;
    sidecar.process.wait_for("the span counted", |_| {
        let page = Http::tcp(admin).get("/metrics").text();
        page.contains("lictor_spans_exported_total 1").then_some(())
    });

    // Nobody records these: the caller says so, and of traces that begin here none is drawn.
    ask(&sidecar, &[("traceparent", &traceparent("00"))]);
    ask(&sidecar, &[]);
    ask(&sidecar, &[("traceparent", "nonsense")]);
    // The last ones are sent at the end.
    let broken = sidecar.post_with("/v1/validate", &[("traceparent", &traceparent("01"))], "{");
    assert_eq!(broken.status, 400);
    sidecar.process.signal("TERM");
    assert!(sidecar.process.exit().success());
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert_eq!(spans[1].attributes["lictor.outcome"], "error");
    assert_eq!(spans[1].attributes["error.type"], "invalid_json");
    let all = format!("{spans:?} {:?}", sidecar.process.stderr());
    assert!(!all.contains("hunter2") && !all.contains("s3cret"), "{all}");
}

#[test]
fn a_trace_begins_here_where_the_ratio_says_so() {
    let collector = Collector::start();
    let tracing = json!({"endpoint": collector.url(), "service_name": "pod-7"});
    let sidecar = traced(&tracing, &json!({}));
    ask(&sidecar, &[]);
    let span = collector.wait_for("the decision", |span| span.name == "decide");
    assert_eq!((span.parent.as_str(), span.service.as_str()), ("", "pod-7"));
    assert_ne!(span.trace, "0".repeat(32));
}

#[test]
fn a_forwarded_request_is_one_trace_up_to_the_control_plane() {
    let collector = Collector::start();
    let mut plane = Plane::start_with(&Changes {
        lines: format!(
            "tracing: {{endpoint: \"{}\", sample_ratio: 0}}\n",
            collector.url()
        ),
        ..Changes::default()
    });
    let upstream = format!("http://{}", plane.lictor.address("control_plane"));
    let tracing = json!({"endpoint": collector.url(), "sample_ratio": 0});
    let sidecar = traced(&tracing, &json!({"upstream": {"url": upstream}}));
    let token = format!("Bearer {}", plane.token("viewer"));
    let headers = [
        ("authorization", token.as_str()),
        ("traceparent", &traceparent("01")),
    ];
    let answer = sidecar.http().send("GET", "/api/v1/policies", &headers, "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let up = collector.wait_for("the forward", |span| span.name == "forward");
    assert_eq!(
        (up.trace.as_str(), up.parent.as_str(), up.kind),
        (TRACE, CALLER, 3)
    );
    assert_eq!(up.attributes["http.response.status_code"], "200");
    let served = collector.wait_for("the request", |span| span.name == "request");
    assert_eq!(served.service, "lictor-control-plane");
    assert_eq!((&served.trace, &served.parent), (&up.trace, &up.id));
    assert_eq!(served.attributes["http.route"], "/api/v1/policies");
    let unsampled: Vec<Span> = collector
        .spans()
        .into_iter()
        .filter(|span| span.trace != TRACE)
        .collect();
    assert!(unsampled.is_empty(), "{unsampled:#?}");
}

#[test]
fn a_call_about_policies_is_one_trace_up_to_the_control_plane() {
    let collector = Collector::start();
    let mut plane = Plane::start_with(&Changes {
        lines: format!(
            "tracing: {{endpoint: \"{}\", sample_ratio: 0}}\n",
            collector.url()
        ),
        ..Changes::default()
    });
    let upstream = format!("http://{}", plane.lictor.address("control_plane_grpc"));
    let tracing = json!({"endpoint": collector.url(), "sample_ratio": 0});
    let sidecar = traced(&tracing, &json!({"upstream": {"grpc_url": upstream}}));
    let token = format!("Bearer {}", plane.token("viewer"));
    let headers = [
        ("authorization", token.as_str()),
        ("traceparent", &traceparent("01")),
    ];
    let mut grpc = Grpc::tcp(sidecar.grpc);
    let service = "/policyengine.v1.PolicyEngineService";
    let list = grpc.call_with(&format!("{service}/ListPolicies"), &headers, framed(b""));
    assert_eq!(list.code, 0, "{list:?}");
    let up = collector.wait_for("the forward", |span| span.name == "forward");
    assert_eq!((up.trace.as_str(), up.parent.as_str()), (TRACE, CALLER));
    let is_call = |span: &Span, method: &str| {
        span.name == "request"
            && span
                .attributes
                .get("rpc.method")
                .is_some_and(|it| it == method)
    };
    let served = collector.wait_for("the call", |span| is_call(span, "ListPolicies"));
    assert_eq!(served.service, "lictor-control-plane");
    assert_eq!((&served.trace, &served.parent), (&up.trace, &up.id));
    for (name, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "policyengine.v1.PolicyEngineService"),
        ("rpc.grpc.status_code", "0"),
    ] {
        assert_eq!(served.attributes[name], value, "{name}");
    }
    // A call that is refused says so; what was asked is in no span.
    let asked = b"\x0a\x07hunter2";
    let get = grpc.call_with(&format!("{service}/GetPolicy"), &headers, framed(asked));
    assert_ne!(get.code, 0, "{get:?}");
    let refused = collector.wait_for("the refusal", |span| is_call(span, "GetPolicy"));
    assert_eq!(
        refused.attributes["rpc.grpc.status_code"],
        get.code.to_string()
    );
    let unsampled = grpc.call_with(
        &format!("{service}/ListPolicies"),
        &headers[..1],
        framed(b""),
    );
    assert_eq!(unsampled.code, 0);
    let all = collector.spans();
    assert!(all.iter().all(|span| span.trace == TRACE), "{all:#?}");
    assert!(!format!("{all:?}").contains("hunter2"));
}

#[test]
fn callers_do_not_notice_that_the_collector_is_down() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let tracing = json!({"endpoint": format!("http://{address}"), "timeout": "500ms"});
    let mut sidecar = traced(&tracing, &json!({}));
    let mut http = sidecar.http();
    for _ in 0..100 {
        assert_eq!(validate(&mut http).status, 200);
    }
    let admin = sidecar.admin;
    sidecar.process.wait_for("spans counted as lost", |_| {
        let page = Http::tcp(admin).get("/metrics").text();
        page.contains("lictor_spans_dropped_total{reason=\"export_failed\"} 100")
            .then_some(())
    });
    assert_eq!(validate(&mut http).status, 200);
    sidecar.process.signal("TERM");
    assert!(sidecar.process.exit().success());
    let said = |line: &Value| line["message"] == "the collector does not take spans";
    let times = sidecar
        .process
        .log()
        .iter()
        .filter(|line| said(line))
        .count();
    assert_eq!(times, 1, "said once, not with every batch");
}

#[test]
fn a_section_that_cannot_be_used_is_refused() {
    let pod = Pod::new();
    for (tracing, said) in [
        (
            json!({"endpoint": "127.0.0.1:4317"}),
            "http://127.0.0.1:4317",
        ),
        (json!({"sample_ratio": 2}), "from 0 to 1"),
        (
            json!({"endpiont": "http://127.0.0.1:4317"}),
            "did you mean `endpoint`",
        ),
    ] {
        pod.configure(&json!({"tracing": tracing}));
        let mut check = lictor();
        check.args(["sidecar", "config", "check", "--config"]);
        let output = check.arg(pod.path("sidecar.yaml")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(said), "{text}");
    }
}
