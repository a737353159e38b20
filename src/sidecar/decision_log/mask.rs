//! What is taken out of an event before anybody sees it: credentials by name, and what the bundle's own policies
//! `data.system.log.mask` and `data.system.log.drop` say, as OPA asks them.

use serde_json::{Map, Value};

use crate::decide::{DecideError, Origin, Question, Worker};
use crate::engine::rego::{parse_rego_json, write_rego_json};
use crate::engine::{DuplicateMembers, Program, RegoInput, RegoSegment};
use crate::model::Timestamp;
use crate::snapshot::Current;

/// Members that hold credentials wherever they stand.
pub(super) const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "set-cookie", "x-api-key"];
/// Members that the policies do not see: OPA adds them later.
const ADDED_LATER: [&str; 5] = ["metrics", "error", "trace_id", "span_id", "request_context"];
/// Roots that a mask may change.
const MASKABLE: [&str; 3] = ["input", "result", "nd_builtin_cache"];

/// Nesting of an event.
const DEPTH: usize = 128;
/// Bytes of a mask.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// The bundle says so.
    Drop,
    /// A policy could not be asked: the event must not be shown unmasked.
    Failed,
}

/// Applies the rules; asks policies on a worker of its own.
#[derive(Debug)]
pub(super) struct Masker {
    worker: Worker,
    mask: Vec<String>,
    drop: Vec<String>,
}

/// One rule of a mask.
struct Rule {
    path: Vec<String>,
    /// None removes.
    value: Option<Value>,
}

impl Masker {
    /// `mask` and `drop` are paths below `data`, with slashes.
    pub(super) fn new(worker: Worker, mask: &str, drop: &str) -> Self {
        Self {
            worker,
            mask: segments(mask),
            drop: segments(drop),
        }
    }

    /// Changes the event as its masks say.
    pub(super) fn apply(
        &mut self,
        event: &mut Map<String, Value>,
        current: &Current,
        now: Timestamp,
    ) -> Verdict {
        let mut erased = Vec::new();
        for root in ["input", "result"] {
            if let Some(value) = event.get_mut(root) {
                remove_credentials(value, &format!("/{root}"), &mut erased);
            }
        }
        if let Some(snapshot) = &current.snapshot
            && !self.is_asked(&snapshot.program)
        {
            note(event, erased, Vec::new());
            return Verdict::Keep;
        }
        let seen: Map<String, Value> = event
            .iter()
            .filter(|(name, _)| !ADDED_LATER.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let seen = Value::Object(seen).to_string();
        match self.ask(Which::Drop, &seen, now) {
            Err(Unasked::Failed) => return Verdict::Failed,
            Err(Unasked::NoBundle) => {
                // Nobody can say what of it may be shown.
                for root in ["input", "result"] {
                    if event.remove(root).is_some() {
                        erased.push(format!("/{root}"));
                    }
                }
                note(event, erased, Vec::new());
                return Verdict::Keep;
            }
            Ok(Some(Value::Bool(true))) => return Verdict::Drop,
            Ok(_) => {}
        }
        let rules = match self.ask(Which::Mask, &seen, now) {
            Err(_) => return Verdict::Failed,
            Ok(None) => Vec::new(),
            Ok(Some(value)) => match rules(&value) {
                Some(rules) => rules,
                None => return Verdict::Failed,
            },
        };
        let mut masked = Vec::new();
        for rule in rules {
            let pointer = format!("/{}", rule.path.join("/"));
            match rule.value {
                None => {
                    if remove(event, &rule.path) {
                        erased.push(pointer);
                    }
                }
                Some(value) => {
                    if upsert(event, &rule.path, value) {
                        masked.push(pointer);
                    }
                }
            }
        }
        note(event, erased, masked);
        Verdict::Keep
    }

    /// Whether the program may have something to say about events: data or rules at the paths, above or below them.
    pub(super) fn is_asked(&self, program: &Program) -> bool {
        let speaks = |path: &[String]| {
            let Some(root) = path.first() else {
                return false;
            };
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            if program.data().find(&names).is_some() {
                return true;
            }
            // Other names are written in another way.
            let is_identifier = root
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'_');
            let start = format!("data.{root}");
            let mut rules = program.rego().rules();
            rules.any(|(name, _)| !is_identifier || name.starts_with(&start))
        };
        speaks(&self.mask) || speaks(&self.drop)
    }

    /// The policy's answer; None where it is undefined.
    fn ask(&mut self, which: Which, event: &str, now: Timestamp) -> Result<Option<Value>, Unasked> {
        let parsed = parse_rego_json(event.as_bytes(), DEPTH);
        let path = match which {
            Which::Drop => &self.drop,
            Which::Mask => &self.mask,
        };
        if path.is_empty() {
            return Ok(None);
        }
        let path: Vec<RegoSegment<'_>> = path.iter().map(|name| RegoSegment::Name(name)).collect();
        let input = RegoInput {
            value: Some(parsed.map_err(|_| Unasked::Failed)?),
            strict: false,
        };
        let question = Question {
            now,
            claims: None,
            principal: "",
            duplicates: DuplicateMembers::LastWins,
            explain: false,
            origin: Origin::UNKNOWN,
        };
        let answer = self.worker.rego(&path, &input, &question, |_, answer| {
            answer.value.as_ref().map(|value| {
                let mut text = Vec::new();
                let whole = write_rego_json(value, ANSWER_LIMIT, &mut text);
                whole.then_some(text)
            })
        });
        match answer {
            Ok(None) => Ok(None),
            Ok(Some(Some(text))) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|_| Unasked::Failed),
            Err(DecideError::NotReady | DecideError::Expired | DecideError::Untrusted) => {
                Err(Unasked::NoBundle)
            }
            Ok(Some(None)) | Err(_) => Err(Unasked::Failed),
        }
    }
}

#[derive(Clone, Copy)]
enum Which {
    Drop,
    Mask,
}

/// Why a policy gave no answer.
enum Unasked {
    NoBundle,
    Failed,
}

/// Says in the event what was taken out and what was changed.
fn note(event: &mut Map<String, Value>, erased: Vec<String>, masked: Vec<String>) {
    for (name, pointers) in [("erased", erased), ("masked", masked)] {
        if !pointers.is_empty() {
            event.insert(name.to_owned(), pointers.into());
        }
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether a member of this name holds a credential.
pub(super) fn is_credential(name: &[u8]) -> bool {
    let mut all = CREDENTIALS.iter();
    all.any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

/// Removes every member that holds a credential, and says where it was.
fn remove_credentials(value: &mut Value, at: &str, erased: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| {
                let is_credential = is_credential(name.as_bytes());
                if is_credential {
                    erased.push(format!("{at}/{name}"));
                }
                !is_credential
            });
            for (name, value) in members {
                remove_credentials(value, &format!("{at}/{name}"), erased);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                remove_credentials(item, &format!("{at}/{index}"), erased);
            }
        }
        _ => {}
    }
}

/// The rules that a mask policy answered; None where one of them is none, which voids all of them.
fn rules(answer: &Value) -> Option<Vec<Rule>> {
    answer.as_array()?.iter().map(rule).collect()
}

fn rule(value: &Value) -> Option<Rule> {
    let (path, value) = match value {
        Value::String(path) => (path.as_str(), None),
        Value::Object(members) => {
            let path = members.get("path")?.as_str()?;
            match members.get("op")?.as_str()? {
                "remove" => (path, None),
                "upsert" => (
                    path,
                    Some(members.get("value").cloned().unwrap_or_default()),
                ),
                _ => return None,
            }
        }
        _ => return None,
    };
    let path = segments(path.strip_prefix('/')?);
    let first = path.first()?;
    MASKABLE
        .contains(&first.as_str())
        .then_some(Rule { path, value })
}

/// Whether something was there to be removed.
fn remove(event: &mut Map<String, Value>, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let Some((first, rest)) = parents.split_first() else {
        return event.remove(last).is_some();
    };
    let at = event.get_mut(first).and_then(|root| {
        rest.iter().try_fold(root, |at, name| match at {
            Value::Object(members) => members.get_mut(name),
            Value::Array(items) => items.get_mut(name.parse::<usize>().ok()?),
            _ => None,
        })
    });
    match at {
        Some(Value::Object(members)) => members.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether the value was set: parents that are missing are made, what is no object is left alone.
fn upsert(event: &mut Map<String, Value>, path: &[String], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut at = event;
    for name in parents {
        let next = at
            .entry(name.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(members) = next else {
            return false;
        };
        at = members;
    }
    at.insert(last.clone(), value);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn credentials_are_removed_wherever_they_stand() {
        let mut value = json!({
            "headers": {"Authorization": "Bearer x", "cookie": "a=b", "accept": "*"},
            "list": [{"x-api-key": "k", "n": 1}],
        });
        let mut erased = Vec::new();
        remove_credentials(&mut value, "/input", &mut erased);
        erased.sort();
        assert_eq!(
            value,
            json!({"headers": {"accept": "*"}, "list": [{"n": 1}]})
        );
        assert_eq!(
            erased,
            [
                "/input/headers/Authorization",
                "/input/headers/cookie",
                "/input/list/0/x-api-key"
            ]
        );
    }

    #[test]
    fn rules_remove_and_upsert_as_opa_does() {
        let event = json!({"input": {"a": {"b": 1}, "l": [1, 2], "s": "x"}, "result": true});
        for (rule, expected) in [
            (
                json!("/input/a/b"),
                json!({"input": {"a": {}, "l": [1, 2], "s": "x"}, "result": true}),
            ),
            (json!("/input"), json!({"result": true})),
            (
                json!("/input/l/0"),
                json!({"input": {"a": {"b": 1}, "l": [2], "s": "x"}, "result": true}),
            ),
            (json!("/input/absent/x"), event.clone()),
            (
                json!({"op": "upsert", "path": "/input/a/c/d", "value": "***"}),
                json!({"input": {"a": {"b": 1, "c": {"d": "***"}}, "l": [1, 2], "s": "x"}, "result": true}),
            ),
            (
                json!({"op": "upsert", "path": "/input/s/t", "value": 1}),
                event.clone(),
            ),
            (
                json!({"op": "remove", "path": "/result"}),
                json!({"input": {"a": {"b": 1}, "l": [1, 2], "s": "x"}}),
            ),
        ] {
            let mut changed = object(&event);
            let read = super::rule(&rule).unwrap();
            match read.value {
                None => remove(&mut changed, &read.path),
                Some(value) => upsert(&mut changed, &read.path, value),
            };
            assert_eq!(Value::Object(changed), expected, "{rule}");
        }
    }

    #[test]
    fn one_bad_rule_voids_all() {
        for bad in [
            json!("input/a"),
            json!("/decision_id"),
            json!("/"),
            json!({"path": "/input/a"}),
            json!({"op": "replace", "path": "/input/a"}),
            json!(7),
        ] {
            assert!(rules(&json!(["/input/a", bad])).is_none(), "{bad}");
        }
        assert!(rules(&json!({"a": 1})).is_none());
        assert_eq!(rules(&json!(["/input/a"])).unwrap().len(), 1);
    }
}
