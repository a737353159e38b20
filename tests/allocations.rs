//! Not one heap allocation from request bytes to response bytes, once a worker is warm, on inputs that it has not
//! seen before: for every kind of decision.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../benches/support/counting.rs"]
mod counting;
#[path = "../benches/support/fixture.rs"]
#[expect(dead_code, reason = "shared with the benches")]
mod fixture;

use counting::COUNT;
use lictor::api::decision::{self, AccessAnswer, Envelope, Reason, Timing};
use lictor::decide::{Answered, Origin, Question, Worker};
use lictor::engine::{AccessRequest, DuplicateMembers, HttpRequest};
use lictor::model::{Access, Timestamp};

/// Runs `decide` on inputs made from numbers: on some to get warm, then on others, where it may not allocate.
#[track_caller]
fn allocates_nothing(input: impl Fn(u64) -> Vec<u8>, mut decide: impl FnMut(&[u8], &mut Vec<u8>)) {
    let mut out = Vec::with_capacity(16 * 1024);
    for number in 0..200_u64 {
        decide(&input(number), &mut out);
    }
    for number in 200..600_u64 {
        let input = input(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        out.clear();
        let before = COUNT.get();
        decide(&input, &mut out);
        let count = COUNT.get() - before;
        assert_eq!(count, 0, "input {}", String::from_utf8_lossy(&input));
        assert!(!out.is_empty());
    }
}

fn question(claims: Option<&[u8]>) -> Question<'_> {
    Question {
        now: Timestamp::from_unix_seconds(fixture::NOW),
        claims,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        origin: Origin::UNKNOWN,
    }
}

fn envelope<'a>(answered: &Answered<'a>) -> Envelope<'a> {
    Envelope {
        decision_id: answered.decision_id,
        revision: &answered.snapshot.name,
    }
}

fn validate(worker: &mut Worker, body: &[u8], out: &mut Vec<u8>) {
    let question = question(None);
    let timing = Timing {
        validated_at: question.now,
        duration_ms: 0,
    };
    worker
        .validate(body, &question, |answered, answer| {
            decision::validation(out, &envelope(answered), timing, answer);
        })
        .unwrap();
}

fn write_access(out: &mut Vec<u8>, answered: &Answered<'_>, access: &Access<'_>) {
    let answer = AccessAnswer {
        allowed: access.allowed,
        reason: Reason::of(&access.reason),
        required_permissions: access.required_permissions,
        missing_permissions: access.missing_permissions,
    };
    decision::access(out, &envelope(answered), &answer, access);
}

#[test]
fn a_validation() {
    let mut worker = fixture::worker(&fixture::default_policies());
    // Compliant ones and violations, names with escapes and without.
    let input = |number: u64| {
        let scheme = if number.is_multiple_of(3) {
            "http"
        } else {
            "HTTPS"
        };
        let country = ["KP", "DE", "fr", "sy"][(number % 4) as usize];
        let sla = 95.0 + (number % 50) as f64 / 10.0;
        format!(
            r#"{{"service_id":"svc-{number}","name":"caf\u00e9 {number}\n","provider_id":"p-{number}","endpoint":{{"url":"{scheme}://h{number}.example.com","authentication":"oauth2"}},"compliance":{{"level":"Confidential","certifications":["x-{number}","soc2"],"data_residency":["{country}","US"]}},"sla":{{"availability":{sla},"support_level":"enterprise"}}}}"#
        )
        .into_bytes()
    };
    allocates_nothing(input, |body, out| validate(&mut worker, body, out));
}

#[test]
fn a_validation_by_expressions_among_many() {
    let mut worker = fixture::worker(&fixture::many_policies(500));
    let input = |number: u64| {
        let kind = number % 120;
        format!(r#"{{"kind":"kind-{kind}","endpoint":{{"url":"http://h{number}.example.com"}}}}"#)
            .into_bytes()
    };
    allocates_nothing(input, |body, out| validate(&mut worker, body, out));
}

#[test]
fn an_access_decision() {
    let mut worker = fixture::worker(&fixture::access_rules(1_000));
    let input = |number: u64| {
        let (role, action, kind) = (number % 110, number % 21, number % 11);
        format!(
            r#"{{"subject":{{"type":"user","id":"user-{number}","properties":{{"roles":["role-{role}","other-{number}"]}}}},"action":{{"name":"action-{action}"}},"resource":{{"type":"type-{kind}","id":"r{number}","properties":{{"owner":"user-{number}"}}}},"context":{{"roles":"a,b"}}}}"#
        )
        .into_bytes()
    };
    allocates_nothing(input, |body, out| {
        worker
            .access(
                AccessRequest::Document(body),
                &question(None),
                |answered, access| write_access(out, answered, access),
            )
            .unwrap();
    });
}

#[test]
fn an_access_check() {
    let mut worker = fixture::worker(&fixture::default_policies());
    let input = |number: u64| {
        format!(
            r#"{{"user_id":"user-{number}","service_id":"svc-{number}","action":"read","context":{{"roles":["viewer"]}}}}"#
        )
        .into_bytes()
    };
    allocates_nothing(input, |body, out| {
        worker
            .access(
                AccessRequest::Check(body),
                &question(None),
                |answered, access| write_access(out, answered, access),
            )
            .unwrap();
    });
}

#[test]
fn a_decision_about_an_http_request() {
    let mut worker = fixture::worker(fixture::HTTP_RULES);
    let input =
        |number: u64| format!(r#"{{"sub":"{number}","roles":["r-{number}"]}}"#).into_bytes();
    allocates_nothing(input, |claims, out| {
        let text = std::str::from_utf8(claims).unwrap();
        let path = ["/accounts/7", "/public/index.html", "/else"][text.len() % 3];
        let request = HttpRequest {
            method: "GET",
            path,
            query: &[("q", "1"), ("q", "2")],
            headers: &[("host", "a.example"), ("x-a", text), ("x-a", "again")],
            host: "a.example",
            scheme: "https",
            body: Some(claims),
            source: None,
            destination: None,
            sni: None,
            extensions: &[],
            metadata: None,
            key: None,
        };
        worker
            .http(&request, &question(Some(claims)), |answered, answer| {
                write_access(out, answered, &answer.access);
            })
            .unwrap();
    });
}

#[test]
fn a_consumption() {
    let mut worker = fixture::worker(&fixture::default_policies());
    let input = |number: u64| {
        format!(
            r#"{{"consumer_id":"c-{number}","service_id":"svc-{number}","request_payload":{{"text":"{number}"}},"headers":{{"x-a":"{number}"}},"context":{{"roles":["user"]}}}}"#
        )
        .into_bytes()
    };
    allocates_nothing(input, |body, out| {
        worker
            .consumption(body, &question(None), |answered, answer| {
                decision::consumption(out, &envelope(answered), answer);
            })
            .unwrap();
    });
}

#[test]
fn a_variant() {
    let mut worker = fixture::worker(fixture::EXPERIMENT);
    let input = |number: u64| {
        format!(
            r#"{{"experiment":"checkout-rules","key":"client-{number}","context":{{"country":"DE"}}}}"#
        )
        .into_bytes()
    };
    allocates_nothing(input, |body, out| {
        worker
            .variant(body, &question(None), |answered, answer| {
                decision::variant(out, &envelope(answered), answer);
            })
            .unwrap();
    });
}

#[test]
fn the_heap_is_counted() {
    let before = COUNT.get();
    std::hint::black_box(Vec::<u8>::with_capacity(100));
    assert_eq!(COUNT.get() - before, 1);
}
