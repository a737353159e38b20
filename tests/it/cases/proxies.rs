//! Questions about HTTP requests, asked as Envoy asks them: over gRPC and over HTTP.

use serde_json::{Map, Value, json};

use crate::ext_authz::{self, auth};
use crate::support::grpc::Grpc;
use crate::support::idp::{SigningKey, claims};
use crate::support::sidecar::Sidecar;

use super::{Question, difference};

/// Headers of a decision that no rule sets.
fn is_ours(name: &str) -> bool {
    name.starts_with("x-lictor-") || name.starts_with("x-envoy-")
}

struct Asked<'q> {
    method: &'q str,
    path: &'q str,
    headers: Vec<(String, String)>,
}

impl<'q> Asked<'q> {
    /// What is asked about; claims come in a token of the end user's.
    fn new(question: &'q Question, key: &SigningKey) -> Self {
        let input = &question.input;
        let headers = input["headers"].as_object();
        let mut headers: Vec<_> = headers
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                (
                    name.to_ascii_lowercase(),
                    value.as_str().unwrap().to_owned(),
                )
            })
            .collect();
        if let Some(more) = question.claims.as_object() {
            let mut all = claims("nobody", "acme");
            all.as_object_mut().unwrap().extend(more.clone());
            headers.push((
                "authorization".into(),
                format!("Bearer {}", key.token(&all)),
            ));
        }
        Self {
            method: input["method"].as_str().unwrap(),
            path: input["path"].as_str().unwrap(),
            headers,
        }
    }
}

fn named<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Value {
    let mut list: Vec<_> = headers
        .into_iter()
        .filter(|(name, _)| !is_ours(name))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    list.sort_by_key(|header| header["name"].to_string());
    Value::Array(list)
}

fn options(headers: &[ext_authz::core::HeaderValueOption]) -> Value {
    let headers = headers.iter().map(|option| option.header.as_ref().unwrap());
    named(headers.map(|header| (header.key.as_str(), header.value.as_str())))
}

fn over_grpc(sidecar: &Sidecar, asked: &Asked<'_>) -> Value {
    let request = ext_authz::request(asked.method, asked.path, &asked.headers);
    let answer = ext_authz::check(&mut Grpc::tcp(sidecar.grpc), &request).unwrap();
    let metadata = answer.dynamic_metadata.unwrap_or_default().fields;
    let metadata: Map<String, Value> = metadata
        .into_iter()
        .map(|(name, value)| (name, ext_authz::json(value)))
        .collect();
    let mut got = json!({
        "allowed": answer.status.unwrap().code == 0,
        "rule": metadata.get("rule"),
        "revision": metadata.get("revision"),
    });
    match answer.http_response {
        Some(auth::check_response::HttpResponse::OkResponse(ok)) => {
            got["status"] = 200.into();
            got["set_headers"] = options(&ok.headers);
            got["response_headers"] = options(&ok.response_headers_to_add);
        }
        Some(auth::check_response::HttpResponse::DeniedResponse(denied)) => {
            got["status"] = denied.status.unwrap_or_default().code.into();
            got["response_headers"] = options(&denied.headers);
            got["body"] = denied.body.into();
        }
        other => panic!("{other:?}"),
    }
    got
}

fn over_http(sidecar: &Sidecar, asked: &Asked<'_>) -> Value {
    let headers: Vec<_> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let path = format!("/authz{}", asked.path);
    let answer = sidecar.http().send(asked.method, &path, &headers, "");
    let own = ["content-length", "content-type", "date"];
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| !own.contains(name));
    let headers = named(headers);
    let mut got = json!({
        "allowed": answer.status == 200,
        "status": answer.status,
        "revision": answer.header("x-lictor-revision"),
    });
    if answer.status == 200 {
        got["set_headers"] = headers;
    } else {
        got["response_headers"] = headers;
        got["body"] = answer.text().into();
    }
    got
}

/// What differs, over either door, from what is expected.
pub(super) fn wrong(
    sidecar: &Sidecar,
    number: u64,
    question: &Question,
    key: &SigningKey,
) -> Vec<String> {
    let asked = Asked::new(question, key);
    let mut over_http_expected = question.expect.clone();
    // HTTP has no room for the rule.
    over_http_expected.as_object_mut().unwrap().remove("rule");
    [
        ("gRPC", over_grpc(sidecar, &asked), &question.expect),
        ("HTTP", over_http(sidecar, &asked), &over_http_expected),
    ]
    .into_iter()
    .filter_map(|(door, got, expected)| {
        let revision = got["revision"].as_str().unwrap_or_default();
        if !revision.starts_with(&format!("{number}-")) {
            return Some(format!("{door}: not of bundle {number}: {got}"));
        }
        difference(expected, &got, "").map(|what| format!("{door}: {what}\n  {got}"))
    })
    .collect()
}
