//! Authorization of the API itself: a policy decides about each request, `data.system.authz.allow` by default.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{Method, StatusCode};

use crate::api::json::list;
use crate::api::opa::{Code, string};
use crate::decide::DecideError;
use crate::engine::rego::parse_rego_json;
use crate::engine::{RegoInput, RegoValue};
use crate::sidecar::config::OpaAuthentication;

use super::Call;
use super::body::{member_of, whole_value};
use super::data::Members;
use super::error::Failure;
use super::parameters::{pairs, unescape};
use super::path::DocumentPath;

/// Asks the policy; what it was shown of the body stays with the call.
pub(super) fn authorize(call: &mut Call<'_>) -> Result<(), Failure> {
    let path = path(call.head.uri.path())?;
    if shows_body(&call.head.method, &path) && !call.body.is_empty() {
        let seen = whole_value(&call.body, call.form, call.depth()).map_err(Failure::invalid)?;
        call.seen = Some(seen);
    }
    let input = input(call, &path)?;
    decide(call, input)
}

fn decide(call: &Call<'_>, input: RegoValue) -> Result<(), Failure> {
    let settings = &call.live.settings;
    let decision = &settings.default_authorization_decision;
    let path = DocumentPath::read(decision).map_err(|step| Failure::bad_path(&step.0))?;
    let input = RegoInput {
        value: Some(input),
        strict: false,
    };
    let question = call.question(decision.trim_matches('/'), b"");
    let mut worker = call.handler.worker.borrow_mut();
    let verdict = worker.rego_aside(&path.segments(), &input, &question, |_, answer| {
        answer.value.clone()
    });
    match verdict {
        Ok(verdict) => read(verdict),
        // Without a bundle there is no policy, which is what OPA answers then.
        Err(DecideError::NotReady | DecideError::Expired | DecideError::Untrusted) => {
            Err(Failure::internal(UNDEFINED))
        }
        Err(error) => Err(error.into()),
    }
}

const UNDEFINED: &str = "authorization policy missing or undefined";

/// True, or an object whose `allowed` is true; an object may say why not.
fn read(verdict: Option<RegoValue>) -> Result<(), Failure> {
    let rejected =
        |message: &str| Failure::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message);
    let otherwise = "request rejected by administrative policy";
    match verdict {
        None => Err(Failure::internal(UNDEFINED)),
        Some(RegoValue::Bool(true)) => Ok(()),
        Some(object @ RegoValue::Object(_)) => {
            match (member_of(&object, "allowed"), member_of(&object, "reason")) {
                (None, _) => Err(Failure::internal("document missing or undefined")),
                (Some(RegoValue::Bool(true)), _) => Ok(()),
                (_, Some(RegoValue::String(reason))) => Err(rejected(reason)),
                _ => Err(rejected(otherwise)),
            }
        }
        Some(_) => Err(rejected(otherwise)),
    }
}

/// The steps of a URL's path, decoded one by one; `/` has one, which is empty.
fn path(path: &str) -> Result<Vec<Cow<'_, str>>, Failure> {
    let steps = path.strip_prefix('/').unwrap_or(path).split('/');
    steps
        .map(|step| {
            unescape(step, false)
                .ok_or_else(|| Failure::invalid(format!("invalid URL escape in \"{step}\"")))
        })
        .collect()
}

/// Whether the policy is shown the body of a call.
fn shows_body(method: &Method, path: &[Cow<'_, str>]) -> bool {
    const SHOWN: [[&str; 2]; 4] = [
        ["v0", "data"],
        ["v1", "data"],
        ["v1", "compile"],
        ["v1", "query"],
    ];
    *method == Method::POST
        && match path {
            [only] => only.is_empty(),
            [version, api, ..] => SHOWN.contains(&[version, api]),
            [] => false,
        }
}

/// What the policy is told.
fn input(call: &Call<'_>, path: &[Cow<'_, str>]) -> Result<RegoValue, Failure> {
    let mut text = Vec::with_capacity(512);
    let mut object = Members::new(&mut text);
    list(object.member("path"), path, |out, step| string(out, step));
    string(
        object.member("method"),
        &call.head.method.as_str().to_ascii_uppercase(),
    );
    let mut parameters: BTreeMap<Cow<'_, str>, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in pairs(call.head.uri.query().unwrap_or_default()) {
        parameters.entry(name).or_default().push(value);
    }
    lists(object.member("params"), &parameters);
    lists(object.member("headers"), &headers(call));
    let settings = &call.live.settings;
    if settings.authentication == OpaAuthentication::Token
        && let Some(token) = token(call)
    {
        string(object.member("identity"), token);
    }
    object.end();
    let value = parse_rego_json(&text, call.depth())
        .map_err(|fault| Failure::invalid(fault.to_string()))?;
    Ok(match (&call.seen, value) {
        (Some(body), RegoValue::Object(mut object)) => {
            let members = std::sync::Arc::make_mut(&mut object);
            members.insert(RegoValue::from("body"), body.clone());
            RegoValue::Object(object)
        }
        (_, value) => value,
    })
}

/// Headers under their canonical names; the host is none of them, as in Go.
fn headers<'c>(call: &'c Call<'_>) -> BTreeMap<Cow<'c, str>, Vec<Cow<'c, str>>> {
    let mut all: BTreeMap<Cow<'_, str>, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in &call.head.headers {
        if name == http::header::HOST {
            continue;
        }
        all.entry(Cow::Owned(canonical(name.as_str())))
            .or_default()
            .push(String::from_utf8_lossy(value.as_bytes()));
    }
    all
}

/// `content-type` is `Content-Type`.
fn canonical(name: &str) -> String {
    let mut starts = true;
    name.chars()
        .map(|character| {
            let out = if starts {
                character.to_ascii_uppercase()
            } else {
                character.to_ascii_lowercase()
            };
            starts = character == '-';
            out
        })
        .collect()
}

fn lists(out: &mut Vec<u8>, of: &BTreeMap<Cow<'_, str>, Vec<Cow<'_, str>>>) {
    let mut object = Members::new(out);
    for (name, values) in of {
        list(object.named(name), values, |out, value| string(out, value));
    }
    object.end();
}

/// The token of `Bearer TOKEN`, which is one word.
fn token<'c>(call: &'c Call<'_>) -> Option<&'c str> {
    let value = call.head.headers.get(http::header::AUTHORIZATION)?;
    let rest = value.to_str().ok()?.strip_prefix("Bearer")?;
    let token = rest.trim_start();
    let is_one = !token.is_empty()
        && token.len() < rest.len()
        && !token.contains(|character: char| character.is_ascii_whitespace());
    is_one.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_headers_are_canonical() {
        assert_eq!(canonical("x-REQUEST-id"), "X-Request-Id");
    }

    #[test]
    fn paths_are_split_and_decoded() {
        assert_eq!(path("/").unwrap(), [""]);
        assert_eq!(path("/v1/data/a%20b/").unwrap(), ["v1", "data", "a b", ""]);
        assert!(path("/v1/%zz").is_err());
    }

    #[test]
    fn verdicts_are_read_as_opa_reads_them() {
        let status = |json: &str| {
            let value = parse_rego_json(json.as_bytes(), 9).unwrap();
            match read(Some(value)) {
                Ok(()) => (200, String::new()),
                Err(failure) => (failure.status.as_u16(), failure.document.message),
            }
        };
        assert_eq!(status("true").0, 200);
        assert_eq!(status(r#"{"allowed": true, "reason": "x"}"#).0, 200);
        for (json, code, message) in [
            ("false", 401, "request rejected by administrative policy"),
            ("1", 401, "request rejected by administrative policy"),
            (r#"{"allowed": false, "reason": "no"}"#, 401, "no"),
            (
                r#"{"allowed": 1, "reason": 2}"#,
                401,
                "request rejected by administrative policy",
            ),
            (r#"{"reason": "no"}"#, 500, "document missing or undefined"),
        ] {
            assert_eq!(status(json), (code, message.to_owned()), "{json}");
        }
        let failure = read(None).unwrap_err();
        assert_eq!(failure.status.as_u16(), 500);
    }
}
