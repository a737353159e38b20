//! Decision cases over every kind of policy, read from `tests/cases/`, asked of the library's engine and of a
//! sidecar's door.

mod door;
mod engine;
mod policy_engine;
mod proxies;

use std::path::Path;
use std::sync::Arc;

use lictor::api::decision::{self, AccessAnswer, Envelope, Reason, Timing};
use lictor::engine::{
    AccessRequest, Compiler, Context, DataBuilder, DuplicateMembers, EvaluateError, HttpHeader,
    Limits, Program, Scratch, WrittenRequest,
};
use lictor::model::{Access, AccessReason, Timestamp};
use lictor::policy::{self, Format, canonical};
use serde_json::{Value, json};

/// What is loaded, and what is asked of it.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// Documents, as JSON.
    pub policies: Vec<Value>,
    /// The data document; null where there is none.
    pub data: Value,
    pub questions: Vec<Question>,
}

/// One question with its answer.
#[derive(Debug)]
pub struct Question {
    /// `validate`, `access` (AuthZEN), `check` (access/check), `consumption`, `http` or `variant`.
    pub ask: String,
    pub input: Value,
    /// Claims of a verified token; null where there is none.
    pub claims: Value,
    /// What of the answer counts.
    pub expect: Value,
}

/// Every case of every file under `tests/cases/`.
pub fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Folders hold the cases of one door.
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let json = policy::to_json(&path.display().to_string(), &text, Format::Yaml).unwrap();
        let list: Vec<Value> = serde_json::from_str(&json).unwrap();
        cases.extend(list.into_iter().map(case));
    }
    cases
}

fn case(mut value: Value) -> Case {
    let name = value["name"].as_str().unwrap().to_owned();
    let questions = value["questions"].as_array_mut().unwrap();
    let questions: Vec<Question> = questions
        .iter_mut()
        .map(|question| Question {
            ask: question["ask"].as_str().unwrap().to_owned(),
            input: question["input"].take(),
            claims: question["claims"].take(),
            expect: question["expect"].take(),
        })
        .collect();
    let expected = questions.iter().all(|question| question.expect.is_object());
    assert!(
        expected && !questions.is_empty(),
        "{name} expects something"
    );
    Case {
        name,
        policies: value["policies"].as_array().unwrap().clone(),
        data: value["data"].take(),
        questions,
    }
}

/// Where `got` differs from what counts: members that are expected, lists item by item.
pub fn difference(expected: &Value, got: &Value, path: &str) -> Option<String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(members)) => {
            expected.iter().find_map(|(name, value)| {
                let got = members.get(name).unwrap_or(&Value::Null);
                difference(value, got, &format!("{path}.{name}"))
            })
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
            let mut pairs = expected.iter().zip(items).enumerate();
            pairs.find_map(|(index, (value, got))| {
                difference(value, got, &format!("{path}[{index}]"))
            })
        }
        _ if expected == got => None,
        _ => Some(format!("{path}: expected {expected}, got {got}")),
    }
}

fn program(case: &Case) -> Program {
    let mut compiler = Compiler::default();
    for document in &case.policies {
        let json = document.to_string();
        let hash = canonical::content_hash(json.as_bytes()).unwrap();
        let documents = policy::parse("case.json", json.as_bytes(), Format::Json, "t").unwrap();
        for document in documents {
            compiler.add(document, Arc::from(hash.as_str()));
        }
    }
    let mut data = DataBuilder::default();
    if !case.data.is_null() {
        let json = case.data.to_string();
        data.add(&[], &mut json.as_bytes()).unwrap();
    }
    compiler.compile(data).unwrap()
}

/// The answer as our own doors say it; for rules also which one decided.
fn answer(program: &Program, question: &Question) -> Result<Value, EvaluateError> {
    let input = question.input.to_string();
    let input = input.as_bytes();
    let claims = (!question.claims.is_null()).then(|| question.claims.to_string());
    let context = Context {
        now: Timestamp::from_unix_seconds(1_800_000_000),
        claims: claims.as_deref().map(str::as_bytes),
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        limits: Limits::default(),
    };
    let envelope = Envelope {
        decision_id: uuid::Uuid::nil(),
        revision: "1-000000000000",
    };
    let scratch = Scratch::default();
    let mut out = Vec::new();
    match question.ask.as_str() {
        "validate" => {
            let timing = Timing {
                validated_at: context.now,
                duration_ms: 0,
            };
            let answer = program.validate(input, &context, &scratch)?;
            decision::validation(&mut out, &envelope, timing, &answer);
        }
        "access" => {
            let answer = program.access(AccessRequest::Document(input), &context, &scratch)?;
            return Ok(access(&envelope, &answer));
        }
        "check" => {
            let answer = program.access(AccessRequest::Check(input), &context, &scratch)?;
            return Ok(access(&envelope, &answer));
        }
        "consumption" => {
            let answer = program.consumption(input, &context, &scratch)?;
            decision::consumption(&mut out, &envelope, &answer);
        }
        "http" => {
            let request = WrittenRequest::parse(std::str::from_utf8(input).unwrap()).unwrap();
            let (query, headers, labels) = (request.query(), request.headers(), request.labels());
            let request = request.lend(&query, &headers, &labels);
            let answer = program.http(&request, &context, &scratch)?;
            let mut value = access(&envelope, &answer.access);
            value["status"] = json!(answer.status);
            value["body"] = json!(answer.body);
            value["set_headers"] = named(answer.set_headers);
            value["response_headers"] = named(answer.response_headers);
            return Ok(value);
        }
        "variant" => {
            let answer = program.variant(input, &context, &scratch)?;
            decision::variant(&mut out, &envelope, &answer);
        }
        other => panic!("nobody answers `{other}`"),
    }
    Ok(serde_json::from_slice(&out).unwrap())
}

fn access(envelope: &Envelope<'_>, decision: &Access<'_>) -> Value {
    let answer = AccessAnswer {
        allowed: decision.allowed,
        reason: Reason::of(&decision.reason),
        required_permissions: decision.required_permissions,
        missing_permissions: decision.missing_permissions,
    };
    let mut out = Vec::new();
    decision::access(&mut out, envelope, &answer, decision);
    let mut value: Value = serde_json::from_slice(&out).unwrap();
    value["rule"] = match &decision.reason {
        AccessReason::Allowed { rule, .. } | AccessReason::Denied { rule, .. } => json!(rule),
        _ => Value::Null,
    };
    value
}

fn named(headers: &[HttpHeader<'_>]) -> Value {
    let mut list: Vec<Value> = headers
        .iter()
        .map(|header| json!({"name": header.name, "value": header.value}))
        .collect();
    list.sort_by_key(|header| header["name"].to_string());
    Value::Array(list)
}

#[test]
fn the_engine_decides_every_case() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 15, "the cases were not found");
    for case in &cases {
        let program = program(case);
        for (index, question) in case.questions.iter().enumerate() {
            let found = match answer(&program, question) {
                Ok(got) => {
                    difference(&question.expect, &got, "").map(|what| format!("{what}\n  {got}"))
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(found) = found {
                wrong.push(format!("{} [{index}]: {found}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_difference_is_seen() {
    let got = json!({"a": 1, "b": [{"c": 2, "d": 3}]});
    for same in [json!({}), json!({"b": [{"c": 2}]}), json!({"e": null})] {
        assert_eq!(difference(&same, &got, ""), None);
    }
    for other in [
        json!({"a": 2}),
        json!({"b": []}),
        json!({"b": [{"c": 3}]}),
        json!({"e": 1}),
    ] {
        assert!(difference(&other, &got, "").is_some(), "{other}");
    }
}
