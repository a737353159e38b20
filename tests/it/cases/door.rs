//! The cases asked of a real sidecar over HTTP: one process, which is given each set of policies as its next bundle.

use std::collections::BTreeMap;

use lictor::policy::Format;
use serde_json::{Value, json};

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

use super::{Case, Question, cases, difference};

/// Cases whose questions no door of a sidecar takes, and how many of them: rules about HTTP requests are for proxies.
const NOT_ASKABLE: [(&str, u32); 2] = [
    (
        "a rule that can only fail denies every request that its deny covers",
        3,
    ),
    ("rules about HTTP requests", 7),
];

/// Where a question is asked; none where there is no such place.
fn door(question: &Question) -> Option<&'static str> {
    if !question.claims.is_null() {
        return None;
    }
    match question.ask.as_str() {
        "validate" => Some("/v1/validate"),
        "access" => Some("/access/v1/evaluation"),
        "check" => Some("/v1/access/check"),
        "consumption" => Some("/v1/consumption/validate"),
        "variant" => Some("/v1/variant"),
        _ => None,
    }
}

/// Cases that load the same, in their order.
pub(super) fn by_bundle(cases: &[Case]) -> Vec<Vec<&Case>> {
    let mut groups: Vec<Vec<&Case>> = Vec::new();
    for case in cases {
        let same = |group: &&mut Vec<&Case>| {
            (&group[0].policies, &group[0].data) == (&case.policies, &case.data)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups
}

pub(super) fn bundle(number: u64, case: &Case) -> Vec<u8> {
    let policies = case.policies.iter();
    let policies = policies.flat_map(|policy| documents(&policy.to_string(), Format::Json));
    let data = case.data.to_string();
    let file = ("data.json", data.as_bytes());
    let files = if case.data.is_null() {
        &[][..]
    } else {
        &[file][..]
    };
    bundle_of(number, policies.collect(), files, &[&signing_key()])
}

/// What differs in the answer, or that it is of another bundle or none.
fn wrong(
    sidecar: &Sidecar,
    number: u64,
    case: &Case,
    question: &Question,
    door: &str,
) -> Option<String> {
    let answer = sidecar.post(door, &question.input.to_string());
    if answer.status != 200 {
        return Some(format!("{}: {}", answer.status, answer.text()));
    }
    let mut got = answer.json();
    if question.ask == "access" {
        got = access(case, &got);
    }
    let revision = got["revision"].as_str().unwrap_or_default();
    if !revision.starts_with(&format!("{number}-")) {
        return Some(format!("not of bundle {number}: {got}"));
    }
    difference(&question.expect, &got, "").map(|what| format!("{what}\n  {got}"))
}

/// An evaluation's answer in the words of the cases. Its reason names the rule, except where the rule has one of its
/// own.
fn access(case: &Case, got: &Value) -> Value {
    let context = &got["context"];
    let reason = context["reason_admin"].as_str().unwrap();
    let rule = if context["reason_user"].is_string() {
        let mut rules = case
            .policies
            .iter()
            .filter_map(|policy| policy["spec"]["rules"].as_array())
            .flatten();
        rules
            .find(|rule| rule["reason"] == context["reason_user"])
            .map(|rule| rule["id"].clone())
    } else {
        let named = ["allowed by rule `", "denied by rule `"];
        let rest = named.iter().find_map(|words| reason.strip_prefix(words));
        rest.and_then(|rest| rest.split_once('`'))
            .map(|(id, _)| json!(id))
    };
    json!({"allowed": got["decision"], "reason": reason, "rule": rule, "revision": context["revision"]})
}

#[test]
fn a_sidecar_decides_every_case_that_its_door_takes() {
    let cases = cases();
    let mut wrongs = Vec::new();
    let mut not_asked = BTreeMap::new();
    let pod = Pod::new();
    let mut running: Option<Sidecar> = None;
    for (number, group) in (1..).zip(by_bundle(&cases)) {
        pod.put(&bundle(number, group[0]));
        let sidecar = running.get_or_insert_with(|| pod.start());
        sidecar.sync();
        sidecar.wait_for_number(number);
        for case in group {
            for (index, question) in case.questions.iter().enumerate() {
                match door(question) {
                    Some(door) => wrongs.extend(
                        wrong(sidecar, number, case, question, door)
                            .map(|what| format!("{} [{index}]: {what}", case.name)),
                    ),
                    None => *not_asked.entry(case.name.as_str()).or_insert(0) += 1,
                }
            }
        }
    }
    assert!(wrongs.is_empty(), "\n{}", wrongs.join("\n"));
    assert_eq!(
        not_asked,
        BTreeMap::from(NOT_ASKABLE),
        "questions that were not asked are those about HTTP requests, which have no door"
    );
}
