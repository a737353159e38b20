//! AuthZEN 1.0: the certification scenario's table, the to-do vectors, batches.

use serde_json::{Value, json};

use crate::support::sidecar::Sidecar;
use crate::support::{Answer, outside};

use super::deciding;
use super::decisions::POLICIES;

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

fn record(id: &str, status: Option<&str>) -> Value {
    match status {
        Some(status) => json!({"type": "record", "id": id, "properties": {"status": status}}),
        None => json!({"type": "record", "id": id}),
    }
}

fn user(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

fn admin(id: &str) -> Value {
    json!({"type": "user", "id": id, "properties": {"role": "admin"}})
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads well at the many calls"
)]
fn question(subject: Value, action: Value, resource: Value) -> Value {
    json!({"subject": subject, "action": action, "resource": resource})
}

fn decision(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert!(body["context"]["decision_id"].is_string(), "{body}");
    assert!(
        body["context"]["revision"]
            .as_str()
            .unwrap()
            .starts_with("1-")
    );
    body["decision"].as_bool().unwrap()
}

fn decisions(answer: &Answer) -> Vec<bool> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body.get("decision"), None, "{body}");
    body["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| decision["decision"].as_bool().unwrap())
        .collect()
}

/// Errors are a JSON string.
fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.json().is_string(), "{}", answer.text());
}

#[test]
fn the_certification_scenario_holds() {
    let sidecar = deciding(
        POLICIES,
        &json!({"authzen": {"policy_decision_point": "https://pdp.example"}}),
    );
    basic(&sidecar);
    basic_errors(&sidecar);
    batch(&sidecar);
    batch_edges(&sidecar);
    let metadata = sidecar.http().get("/.well-known/authzen-configuration");
    assert_eq!(metadata.status, 200);
    assert_eq!(
        metadata.json(),
        json!({
            "policy_decision_point": "https://pdp.example",
            "access_evaluation_endpoint": "https://pdp.example/access/v1/evaluation",
            "access_evaluations_endpoint": "https://pdp.example/access/v1/evaluations",
            "search_action_endpoint": "https://pdp.example/access/v1/search/action",
        })
    );
}

fn basic(sidecar: &Sidecar) {
    let read = || json!({"name": "read"});
    let write = || json!({"name": "write"});
    let delete = |soft: bool| json!({"name": "delete", "properties": {"soft": soft}});
    let active = || record("record-1", Some("active"));
    let archived = || record("record-2", Some("archived"));
    let mut with_context = question(user("alice"), read(), record("record-1", None));
    with_context["context"] = json!({"time": "2026-01-01T00:00:00Z"});
    let mut unknown = question(user("alice"), read(), record("record-1", None));
    unknown["foo"] = json!("bar");
    unknown["futureField"] = json!({"nested": true});
    let rich = question(
        json!({"type": "user", "id": "alice", "properties": {"department": "Sales"}}),
        json!({"name": "read", "properties": {"method": "GET"}}),
        json!({"type": "record", "id": "record-1", "properties": {"owner": "bob"}}),
    );
    for (name, body, expected) in [
        (
            "2.2.1",
            question(user("alice"), read(), record("record-1", None)),
            true,
        ),
        (
            "rule 2",
            question(user("alice"), write(), record("record-1", None)),
            true,
        ),
        (
            "rule 3",
            question(user("bob"), read(), record("record-1", None)),
            true,
        ),
        (
            "2.2.2",
            question(user("bob"), write(), record("record-1", None)),
            false,
        ),
        ("2.2.3", with_context, true),
        ("2.2.4", question(user("alice"), write(), archived()), false),
        ("2.2.5", question(admin("bob"), write(), archived()), true),
        (
            "2.2.6",
            question(user("alice"), delete(true), active()),
            true,
        ),
        (
            "2.2.7",
            question(user("alice"), delete(false), active()),
            false,
        ),
        ("2.2.8", rich, true),
        ("2.2.9", unknown, true),
    ] {
        for _ in 0..2 {
            assert_eq!(
                decision(&sidecar.post(EVALUATION, &body.to_string())),
                expected,
                "{name}"
            );
        }
    }
}

fn basic_errors(sidecar: &Sidecar) {
    let whole = question(
        user("alice"),
        json!({"name": "read"}),
        record("record-1", None),
    );
    for member in ["subject", "action", "resource"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(member);
        refused(&sidecar.post(EVALUATION, &body.to_string()), 400);
    }
    for (member, field) in [
        ("subject", "type"),
        ("subject", "id"),
        ("action", "name"),
        ("resource", "type"),
        ("resource", "id"),
    ] {
        let mut body = whole.clone();
        body[member].as_object_mut().unwrap().remove(field);
        refused(&sidecar.post(EVALUATION, &body.to_string()), 400);
    }
    let mut wrong = whole.clone();
    wrong["subject"] = json!("alice");
    refused(&sidecar.post(EVALUATION, &wrong.to_string()), 400);
    let mut wrong = whole.clone();
    wrong["action"]["name"] = json!(123);
    refused(&sidecar.post(EVALUATION, &wrong.to_string()), 400);
    for body in ["", "{", "[]", "{\"subject\":", "nonsense"] {
        refused(&sidecar.post(EVALUATION, body), 400);
        refused(&sidecar.post(EVALUATIONS, body), 400);
    }
    let text = whole.to_string();
    let plain = sidecar.http().send(
        "POST",
        EVALUATION,
        &[("content-type", "text/plain")],
        text.clone(),
    );
    refused(&plain, 400);
    let charset = [
        ("content-type", "application/json; charset=utf-8"),
        ("x-request-id", "r-1"),
    ];
    let answer = sidecar
        .http()
        .send("POST", EVALUATION, &charset, text.clone());
    assert!(decision(&answer));
    assert_eq!(answer.header("x-request-id"), "r-1");
    let refused_too =
        sidecar
            .http()
            .send("POST", EVALUATION, &[("x-request-id", "r-2")], text.clone());
    assert_eq!(refused_too.header("x-request-id"), "r-2");
    assert!(
        !sidecar
            .post(EVALUATION, &text)
            .header("x-request-id")
            .is_empty()
    );
}

fn batch(sidecar: &Sidecar) {
    let read = json!({"name": "read"});
    let write = json!({"name": "write"});
    let active = record("record-1", Some("active"));
    let archived = record("record-2", Some("archived"));
    for (name, body, expected) in [
        (
            "3.2.1",
            json!({"subject": user("alice"), "action": read, "evaluations": [
                {"resource": record("record-1", None)}, {"resource": record("record-2", None)}]}),
            vec![true, true],
        ),
        (
            "3.2.2",
            json!({"subject": user("bob"), "resource": record("record-1", None),
                "evaluations": [{"action": read}, {"action": write}]}),
            vec![true, false],
        ),
        (
            "3.2.3",
            json!({"subject": user("alice"), "action": write,
                "evaluations": [{"resource": active}, {"resource": archived}]}),
            vec![true, false],
        ),
        (
            "3.2.4",
            json!({"action": write, "resource": archived,
                "evaluations": [{"subject": user("alice")}, {"subject": admin("bob")}]}),
            vec![false, true],
        ),
        (
            "3.2.5",
            json!({"evaluations": [
                question(user("alice"), read.clone(), record("record-1", None)),
                question(user("bob"), write.clone(), record("record-1", None))]}),
            vec![true, false],
        ),
        (
            "3.2.6",
            json!({"subject": user("alice"), "action": read, "resource": active, "context": {"a": 1},
                "evaluations": [{}, {"context": {"a": 2}}]}),
            vec![true, true],
        ),
        (
            "3.2.7",
            json!({"subject": user("alice"), "action": write, "resource": active,
                "evaluations": [{}, {"resource": archived}]}),
            vec![true, false],
        ),
        (
            "3.4.1",
            json!({"subject": user("alice"), "action": read, "options": {"evaluations_semantic": "execute_all"},
                "evaluations": [{"resource": active}, {}]}),
            vec![true, false],
        ),
    ] {
        assert_eq!(
            decisions(&sidecar.post(EVALUATIONS, &body.to_string())),
            expected,
            "{name}"
        );
    }
    for body in [
        question(user("alice"), read.clone(), active.clone()),
        json!({"subject": user("alice"), "action": read, "resource": active, "evaluations": []}),
    ] {
        assert!(decision(&sidecar.post(EVALUATIONS, &body.to_string())));
    }
}

fn batch_edges(sidecar: &Sidecar) {
    let item = |name: &str| json!({"resource": record("record-1", None), "subject": user(name)});
    let batch = |semantic: &str, names: &[&str]| {
        let items: Vec<_> = names.iter().map(|name| item(name)).collect();
        json!({"action": {"name": "write"}, "options": {"evaluations_semantic": semantic}, "evaluations": items})
    };
    let ask = |body: &Value| decisions(&sidecar.post(EVALUATIONS, &body.to_string()));
    let names = ["alice", "bob", "alice"];
    assert_eq!(ask(&batch("execute_all", &names)), [true, false, true]);
    assert_eq!(ask(&batch("deny_on_first_deny", &names)), [true, false]);
    assert_eq!(
        ask(&batch("permit_on_first_permit", &["bob", "alice", "bob"])),
        [false, true]
    );
    refused(
        &sidecar.post(EVALUATIONS, &batch("whatever", &names).to_string()),
        400,
    );

    let thousand = vec!["alice"; 1000];
    assert_eq!(ask(&batch("execute_all", &thousand)).len(), 1000);
    let more = vec!["alice"; 1001];
    refused(
        &sidecar.post(EVALUATIONS, &batch("execute_all", &more).to_string()),
        400,
    );

    let faulty = json!({"action": {"name": "write"}, "resource": record("record-1", None),
        "evaluations": [{"subject": 7}, {"subject": user("alice")}, 3]});
    let answer = sidecar.post(EVALUATIONS, &faulty.to_string());
    assert_eq!(decisions(&answer), [false, true, false]);
    let body = answer.json();
    assert_eq!(
        body["evaluations"][0]["context"]["error"]["status"], 400,
        "{body}"
    );
    assert!(body["evaluations"][2]["context"]["error"]["message"].is_string());
}

#[test]
fn the_todo_vectors_hold() {
    let Some(vectors) = outside("vectors") else {
        return;
    };
    let text = std::fs::read(vectors.join("authzen/todo-1_0-02.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&text).unwrap();
    let sidecar = deciding(POLICIES, &json!({}));
    let mut count = 0;
    for case in vectors["evaluation"].as_array().unwrap() {
        let answer = sidecar.post(EVALUATION, &case["request"].to_string());
        assert_eq!(
            json!(decision(&answer)),
            case["expected"],
            "{}",
            case["request"]
        );
        count += 1;
    }
    for case in vectors["evaluations"].as_array().unwrap() {
        let answer = sidecar.post(EVALUATIONS, &case["request"].to_string());
        let expected: Vec<bool> = case["expected"]
            .as_array()
            .unwrap()
            .iter()
            .map(|decision| decision["decision"].as_bool().unwrap())
            .collect();
        assert_eq!(decisions(&answer), expected, "{}", case["request"]);
        count += 1;
    }
    assert_eq!(count, 43);
}
