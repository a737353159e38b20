//! The cases of `tests/cases/ext_authz/`.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor::policy::{self, Format};
use prost::Message as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::check_response::HttpResponse;
use super::{auth, check_with, context, core, http, request};
use crate::support::bundle::{bundle_of, signing_key};
use crate::support::grpc::Grpc;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

const REGO: &[u8] = include_bytes!("../../cases/ext_authz/policy.rego");
const CASES: &str = include_str!("../../cases/ext_authz/cases.yaml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    ext_authz: Value,
    #[serde(default)]
    decision_log: Option<Value>,
    cases: Vec<Case>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    number: u32,
    policy: Option<String>,
    result: Option<Value>,
    path: Option<String>,
    headers: Map<String, Value>,
    r#type: Option<String>,
    body: Option<String>,
    raw_body: Option<String>,
    raw_base64: Option<String>,
    /// The headers come as `header_map`.
    raw_headers: bool,
    principal: Option<String>,
    /// HTTP cannot ask it, or cannot answer it.
    grpc_only: bool,
    /// Neither of the fields about appending is set.
    unsaid: bool,
    echo: Option<Map<String, Value>>,
    absent: Vec<String>,
    /// `plain`, or what is changed.
    allowed: Option<Value>,
    /// `plain`, or what the client is told.
    denied: Option<Value>,
    metadata: Map<String, Value>,
    error: Option<String>,
    /// The code of that error where it is not UNKNOWN.
    code: Option<i32>,
    /// The client's deadline, as gRPC writes it.
    timeout: Option<String>,
    /// A line of the metrics, without its value.
    counter: Option<String>,
}

impl Case {
    fn method(&self) -> &'static str {
        if self.body.is_some() || self.raw_body().is_some() {
            "POST"
        } else {
            "GET"
        }
    }

    fn raw_body(&self) -> Option<Vec<u8>> {
        let decoded = self.raw_base64.as_ref().map(|text| STANDARD.decode(text));
        let plain = self.raw_body.as_ref();
        decoded
            .map(Result::unwrap)
            .or_else(|| plain.map(|text| text.clone().into_bytes()))
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let mut header = |name: &str, value: Option<String>| {
            headers.extend(value.map(|value| (name.to_owned(), value)));
        };
        header("content-type", self.r#type.clone());
        header("x-policy", self.policy.clone());
        header("x-result", self.result.as_ref().map(Value::to_string));
        headers
    }

    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("/")
    }

    fn check_request(&self) -> auth::CheckRequest {
        let headers = self.headers();
        let mut request = request(self.method(), self.path(), &headers);
        let inner = http(&mut request);
        inner.body = self.body.clone().unwrap_or_default();
        inner.raw_body = self.raw_body().unwrap_or_default();
        if self.raw_headers {
            inner.headers.clear();
            let headers = headers.into_iter().map(|(key, value)| core::HeaderValue {
                key,
                value: String::new(),
                raw_value: value.into(),
            });
            inner.header_map = Some(core::HeaderMap {
                headers: headers.collect(),
            });
        }
        if let Some(principal) = &self.principal {
            request.attributes.as_mut().unwrap().source = Some(context::Peer {
                principal: principal.clone(),
                ..context::Peer::default()
            });
        }
        request
    }

    /// What an echoed document must hold, and must not.
    fn compare_echo(&self, echo: &str) -> Option<String> {
        let echo: Value = serde_json::from_str(echo).unwrap();
        let wanted = self.echo.iter().flatten();
        let different = wanted
            .filter(|(name, value)| echo[name.as_str()] != **value)
            .map(|(name, _)| name);
        let there = self.absent.iter().filter(|name| echo.get(name).is_some());
        let wrong: Vec<_> = different.chain(there).collect();
        (!wrong.is_empty()).then(|| format!("{wrong:?} of {echo}"))
    }
}

fn pairs(headers: &[core::HeaderValueOption]) -> Value {
    let pair = |option: &core::HeaderValueOption| {
        let header = option.header.as_ref().unwrap();
        json!([header.key, header.value])
    };
    headers.iter().map(pair).collect()
}

/// The first of a name replaces, further ones add: in both fields.
fn says_how(headers: &[core::HeaderValueOption], unsaid: bool) -> bool {
    headers.iter().enumerate().all(|(index, option)| {
        let key = |option: &core::HeaderValueOption| option.header.as_ref().unwrap().key.clone();
        let again = headers[..index]
            .iter()
            .any(|earlier| key(earlier) == key(option));
        let expected = match (unsaid, again) {
            (true, _) => (None, 0),
            (false, true) => (Some(true), 0),
            (false, false) => (Some(false), 2),
        };
        (option.append, option.append_action) == expected
    })
}

/// What of `wanted` the answer does not say.
fn missing(wanted: &Value, got: &Value) -> Option<String> {
    let wanted = wanted.as_object()?;
    let wrong = wanted.iter().find(|(name, value)| match name.as_str() {
        "body" => !got["body"]
            .as_str()
            .is_some_and(|body| body.starts_with(value.as_str().unwrap())),
        name => got[name] != **value,
    });
    wrong.map(|(name, _)| format!("{name} of {got}"))
}

fn over_grpc(case: &Case, grpc: &mut Grpc) -> Option<String> {
    let timeout = case.timeout.as_deref();
    let headers: Vec<_> = timeout
        .map(|time| ("grpc-timeout", time))
        .into_iter()
        .collect();
    let asked = check_with(grpc, &headers, &case.check_request());
    let answer = match (asked, &case.error) {
        (Err(ended), Some(error)) => {
            let text = percent_encoding::percent_decode_str(&ended.text).decode_utf8_lossy();
            let right = ended.code == case.code.unwrap_or(2) && text.contains(error.as_str());
            return (!right).then(|| format!("{} {text}", ended.code));
        }
        (Err(ended), None) => return Some(format!("{} {}", ended.code, ended.text)),
        (Ok(answer), Some(_)) => return Some(format!("{answer:?}")),
        (Ok(answer), None) => answer,
    };
    let code = answer.status.as_ref().unwrap().code;
    let metadata = answer.dynamic_metadata.clone().unwrap_or_default().fields;
    let metadata: Map<String, Value> = metadata
        .into_iter()
        .map(|(name, value)| (name, super::json(value)))
        .collect();
    let is_decision = case.denied.is_none() || case.denied == Some("plain".into()) || code == 0;
    if is_decision && !metadata.get("decision_id").is_some_and(Value::is_string) {
        return Some(format!("no decision id in {metadata:?}"));
    }
    if let Some((name, _)) = case
        .metadata
        .iter()
        .find(|(name, value)| metadata.get(*name) != Some(value))
    {
        return Some(format!("{name} of {metadata:?}"));
    }
    let wanted_code = if case.denied.is_some() { 7 } else { 0 };
    if code != wanted_code {
        return Some(format!("code {code}"));
    }
    let wanted = case.allowed.as_ref().or(case.denied.as_ref());
    match answer.http_response {
        None => (wanted != Some(&json!("plain"))).then(|| "no HTTP part".to_owned()),
        Some(_) if wanted == Some(&json!("plain")) => Some("an HTTP part".to_owned()),
        Some(HttpResponse::OkResponse(ok)) => {
            if !says_how(&ok.headers, case.unsaid)
                || !says_how(&ok.response_headers_to_add, case.unsaid)
            {
                return Some(format!("how headers are added: {ok:?}"));
            }
            if case.echo.is_some() {
                let header = ok.headers.first()?.header.as_ref()?;
                return case.compare_echo(&header.value);
            }
            let query = ok.query_parameters_to_set.iter();
            let got = json!({
                "headers": pairs(&ok.headers),
                "response_headers": pairs(&ok.response_headers_to_add),
                "remove": ok.headers_to_remove,
                "query": query.map(|pair| json!([pair.key, pair.value])).collect::<Value>(),
                "remove_query": ok.query_parameters_to_remove,
            });
            missing(wanted?, &got)
        }
        Some(HttpResponse::DeniedResponse(denied)) => {
            let got = json!({
                "status": denied.status.unwrap_or_default().code,
                "headers": pairs(&denied.headers),
                "body": denied.body,
            });
            missing(wanted?, &got)
        }
        Some(HttpResponse::ErrorResponse(error)) => Some(format!("{error:?}")),
    }
}

fn over_http(case: &Case, sidecar: &Sidecar) -> Option<String> {
    let mut headers = case.headers();
    headers.push(("host".into(), "example.com".into()));
    let headers: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name != "content-length")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let text = case.body.clone().map(String::into_bytes);
    let body = text.or_else(|| case.raw_body());
    let path = format!("/authz{}", case.path());
    let answer = sidecar
        .http()
        .send(case.method(), &path, &headers, body.unwrap_or_default());
    let wanted = match (&case.error, &case.denied) {
        (Some(_), _) => 500,
        (None, None) => 200,
        (None, Some(denied)) => denied["status"].as_u64().unwrap_or(403) as u16,
    };
    if answer.status != wanted {
        return Some(format!("{} {}", answer.status, answer.text()));
    }
    if let Some(error) = &case.error
        && !answer.text().contains(error.as_str())
    {
        return Some(answer.text());
    }
    if case.echo.is_some() {
        return case.compare_echo(answer.header("x-echo"));
    }
    let wanted = case.allowed.as_ref().or(case.denied.as_ref())?;
    for list in ["headers", "response_headers"] {
        for pair in wanted[list].as_array().into_iter().flatten() {
            let (name, value) = (pair[0].as_str()?, pair[1].as_str()?);
            let mut values = answer.headers.get_all(name).iter();
            if !values.any(|found| found == value) {
                return Some(format!("{name} of {:?}", answer.headers));
            }
        }
    }
    let removed = answer.header("x-envoy-auth-headers-to-remove");
    let missing = wanted["remove"].as_array().into_iter().flatten();
    let mut missing = missing.filter(|name| !removed.contains(name.as_str().unwrap()));
    missing.next().map(|name| format!("{name} of {removed}"))
}

/// What `protoc --descriptor_set_out --include_imports` makes of `books.proto`.
pub(super) fn descriptors() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/ext_authz");
    let files = protox::compile(["books.proto"], [folder]).unwrap();
    files.encode_to_vec()
}

#[test]
fn every_decision_is_the_one_that_opas_plugin_gives() {
    let json = policy::to_json("cases.yaml", CASES.as_bytes(), Format::Yaml).unwrap();
    let groups: Vec<Group> = serde_json::from_str(&json).unwrap();
    let mut wrongs = Vec::new();
    let mut numbers = BTreeSet::new();
    for group in &groups {
        let pod = Pod::new();
        pod.put_at("books.pb", &descriptors());
        let mut config = group.ext_authz.clone();
        if config.get("proto_descriptor").is_some() {
            config["proto_descriptor"] = pod.path("books.pb").display().to_string().into();
        }
        let log = group.decision_log.clone().unwrap_or_else(|| json!({}));
        pod.configure(&json!({"ext_authz": config, "decision_log": log}));
        let files = [("envoy/authz.rego", REGO)];
        pod.put(&bundle_of(1, Vec::new(), &files, &[&signing_key()]));
        let mut sidecar = pod.start();
        sidecar.wait_ready();
        let mut grpc = Grpc::tcp(sidecar.grpc);
        for case in &group.cases {
            numbers.insert(case.number);
            let counted = |name: &String| sidecar.metric(name).unwrap_or(0.0);
            let before = case.counter.as_ref().map(counted);
            let mut wrong = |door: &str, what: Option<String>| {
                wrongs.extend(what.map(|what| format!("{door}: {what}\n  {case:?}")));
            };
            wrong("gRPC", over_grpc(case, &mut grpc));
            if !case.grpc_only && !case.raw_headers {
                wrong("HTTP", over_http(case, &sidecar));
            }
            if let (Some(name), Some(before)) = (&case.counter, before) {
                sidecar.wait_for(name, |_| counted(name) > before);
            }
        }
    }
    let missing: Vec<_> = (1..=70).filter(|row| !numbers.contains(row)).collect();
    assert!(missing.is_empty(), "rows without a case: {missing:?}");
    let failed = wrongs.len();
    assert!(wrongs.is_empty(), "{failed}\n{}", wrongs.join("\n"));
}
