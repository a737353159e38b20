//! The cases asked of a real sidecar over every door that takes them: one process, which is given each set of policies
//! as its next bundle.

use std::time::{Duration, Instant};

use lictor::policy::Format;
use serde_json::{Value, json};

use crate::support::bundle::{bundle_of, documents, signing_key};
use crate::support::idp::{self, Idp, SigningKey, claims, key_set};
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

use super::{Case, Question, cases, difference, policy_engine, proxies};

/// Questions at least that are asked over more than one door.
const MANY: u32 = 30;

/// Where a question is asked over our own HTTP; none where there is no such place.
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

/// What differs over OFREP, where a variant of an experiment is a flag's.
fn over_ofrep(sidecar: &Sidecar, question: &Question) -> Option<String> {
    let (input, expected) = (&question.input, &question.expect["variant"]);
    let (Some(experiment), Some(_)) = (input["experiment"].as_str(), expected.as_str()) else {
        return None;
    };
    let mut context = input["context"].as_object().cloned().unwrap_or_default();
    context.insert("targetingKey".to_owned(), input["key"].clone());
    let path = format!("/ofrep/v1/evaluate/flags/{experiment}");
    let answer = sidecar.post(&path, &json!({"context": context}).to_string());
    let got = answer.json();
    (got["variant"] != *expected).then(|| format!("OFREP: {} {got}", answer.status))
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

/// Waits until the sidecar has the keys of whoever signs tokens.
fn wait_for_keys(sidecar: &Sidecar, key: &SigningKey) {
    let token = format!("Bearer {}", key.token(&claims("ann", "acme")));
    let headers = [("authorization", token.as_str())];
    let end = Instant::now() + Duration::from_secs(30);
    while sidecar.post_with("/v1/validate", &headers, "{}").status != 200 {
        assert!(Instant::now() < end, "the keys did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_sidecar_decides_every_case_alike_on_every_door_that_takes_it() {
    let cases = cases();
    let mut wrongs = Vec::new();
    let (mut not_asked, mut by_engine, mut by_proxies) = (Vec::new(), 0, 0);
    let key = SigningKey::new("known");
    let idp = Idp::start(key_set(&[&key]));
    let pod = Pod::new();
    pod.configure(&json!({"identity": {"issuers": [
        {"name": idp::ISSUER, "audience": ["lictor"], "algorithm": "ES256", "jwks": idp.url},
    ]}}));
    let mut running: Option<Sidecar> = None;
    for (number, group) in (1..).zip(by_bundle(&cases)) {
        pod.put(&bundle(number, group[0]));
        let is_first = running.is_none();
        let sidecar = running.get_or_insert_with(|| pod.start());
        sidecar.sync();
        sidecar.wait_for_number(number);
        if is_first {
            wait_for_keys(sidecar, &key);
        }
        for case in group {
            for (index, question) in case.questions.iter().enumerate() {
                let mut found = Vec::new();
                let mut asked = false;
                if let Some(door) = door(question) {
                    asked = true;
                    found.extend(wrong(sidecar, number, case, question, door));
                }
                if let Some(wrong) = policy_engine::wrong(sidecar, number, question) {
                    (asked, by_engine) = (true, by_engine + 1);
                    found.extend(wrong.err().map(|what| format!("policy engine: {what}")));
                }
                if question.ask == "variant" {
                    found.extend(over_ofrep(sidecar, question));
                }
                if question.ask == "http" {
                    (asked, by_proxies) = (true, by_proxies + 1);
                    found.extend(proxies::wrong(sidecar, number, question, &key));
                }
                let found = found.into_iter();
                wrongs.extend(found.map(|what| format!("{} [{index}]: {what}", case.name)));
                if !asked {
                    not_asked.push(format!("{} [{index}]", case.name));
                }
            }
        }
    }
    assert!(wrongs.is_empty(), "\n{}", wrongs.join("\n"));
    assert!(not_asked.is_empty(), "no door takes {not_asked:?}");
    assert!(by_engine >= MANY, "{by_engine}");
    assert!(by_proxies >= 10, "{by_proxies}");
}
