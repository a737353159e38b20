//! Documents: `/v1/data` by GET and POST, `/v0/data`, and the default decision.

use http::StatusCode;

use crate::api::json::{integer, raw};
use crate::api::opa::{Code, ErrorDocument, INPUT_MISSING, string};
use crate::decide::Answered;
use crate::engine::rego::write_rego_json;
use crate::engine::{RegoInput, RegoValue};

use super::body::{input_of, member_of, whole_value};
use super::error::Failure;
use super::path::DocumentPath;
use super::reply::Reply;
use super::{Call, Form, explain};

/// `POST /v1/data/{path}`.
pub(super) fn post(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let malformed =
        |error| Failure::invalid(format!("body contains malformed input document: {error}"));
    let request = call.value().map_err(malformed)?;
    let input = match &call.seen {
        // The authorization policy was shown the body: null is null then, and what is no object has no input.
        Some(seen) => member_of(seen, "input").cloned(),
        None => input_of(request).map_err(malformed)?,
    };
    let warning = input.is_none();
    document(call, path, input, warning)
}

/// `GET /v1/data/{path}?input=`.
pub(super) fn get(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let input = match &call.parameters.input {
        None => None,
        Some(text) => {
            let value = whole_value(text.as_bytes(), Form::default(), call.depth());
            Some(value.map_err(|error| {
                Failure::invalid(format!(
                    "parameter contains malformed input document: {error}"
                ))
            })?)
        }
    };
    document(call, path, input, false)
}

fn document(
    call: &Call<'_>,
    text: &str,
    input: Option<RegoValue>,
    warning: bool,
) -> Result<Reply, Failure> {
    let parsed = call.elapsed();
    let path = DocumentPath::read(text).map_err(|step| Failure::bad_path(&step.0))?;
    let input = RegoInput {
        value: input,
        strict: call.parameters.strict_builtin_errors,
    };
    let logged = call.logged(input.value.as_ref());
    let question = call.question(text.trim_matches('/'), &logged);
    let mut worker = call.handler.worker.borrow_mut();
    worker.rego(&path.segments(), &input, &question, |answered, answer| {
        let evaluated = call.elapsed();
        let mut out = Vec::with_capacity(256);
        let mut body = Members::new(&mut out);
        if call.live.logs_decisions {
            string(
                body.member("decision_id"),
                &answered.decision_id.to_string(),
            );
        }
        if call.parameters.provenance {
            provenance(body.member("provenance"), answered);
        }
        if explain::is_wanted(call.parameters.explain, answer.value.is_some()) {
            let out = body.member("explanation");
            explain::document(out, call, &path, answered, answer.value.as_ref());
        }
        if call.parameters.metrics {
            metrics(
                body.member("metrics"),
                &[
                    ("counter_server_query_cache_hit", 1),
                    ("timer_rego_input_parse_ns", parsed.as_nanos()),
                    (
                        "timer_rego_query_eval_ns",
                        evaluated.saturating_sub(parsed).as_nanos(),
                    ),
                    ("timer_server_handler_ns", call.elapsed().as_nanos()),
                ],
            );
        }
        if let Some(value) = &answer.value {
            let shown = shown(&path, value);
            write(shown.as_ref().unwrap_or(value), call, body.member("result"))?;
        }
        if warning {
            raw(body.member("warning"), INPUT_MISSING);
        }
        body.end();
        let reply = Reply::json(StatusCode::OK, out, call.parameters.pretty);
        Ok(reply.decided_by(answered))
    })?
}

/// `POST /v0/data/{path}` and `POST /`: the body is the input, the answer is the bare document.
pub(super) fn v0(call: &Call<'_>, text: &str) -> Result<Reply, Failure> {
    let value = call.value().map_err(|error| {
        Failure::invalid(format!(
            "unexpected parse error for input: body contains malformed input document: {error}"
        ))
    })?;
    let path = DocumentPath::read(text).map_err(|step| Failure::bad_path(&step.0))?;
    let input = RegoInput {
        value: Some(value.unwrap_or(RegoValue::Null)),
        strict: false,
    };
    let logged = call.logged(input.value.as_ref());
    let question = call.question(text.trim_matches('/'), &logged);
    let mut worker = call.handler.worker.borrow_mut();
    worker.rego(&path.segments(), &input, &question, |answered, answer| {
        let reply = match &answer.value {
            Some(value) => {
                let mut out = Vec::with_capacity(128);
                let shown = shown(&path, value);
                write(shown.as_ref().unwrap_or(value), call, &mut out)?;
                Reply::json(StatusCode::OK, out, call.parameters.pretty)
            }
            None => Reply::from(undefined(&path, answered)),
        };
        Ok(reply.decided_by(answered))
    })?
}

/// 404, and whether there are rules that could have defined it.
fn undefined(path: &DocumentPath<'_>, answered: &Answered<'_>) -> Failure {
    let reference = path.reference();
    let mut rules = answered.snapshot.program.rego().rules();
    let what = if rules.any(|(rule, _)| explain::lies_in(&reference, rule)) {
        "document undefined"
    } else {
        "document missing"
    };
    Failure {
        status: StatusCode::NOT_FOUND,
        document: ErrorDocument::new(Code::UndefinedDocument, format!("{what}: {reference}")),
        retry: false,
    }
}

/// What is shown of the root in its place: all but `system`, which has to be asked for by name.
fn shown(path: &DocumentPath<'_>, value: &RegoValue) -> Option<RegoValue> {
    let RegoValue::Object(object) = value else {
        return None;
    };
    let system = RegoValue::from("system");
    if !path.steps().is_empty() || object.get(&system).is_none() {
        return None;
    }
    let mut rest = (**object).clone();
    rest.remove(&system);
    Some(RegoValue::from(rest))
}

/// Appends a value, within the limit of answers.
pub(super) fn write(value: &RegoValue, call: &Call<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
    let limit = call.handler.shared.limits.decision().rego_result_bytes;
    if write_rego_json(value, limit, out) {
        return Ok(());
    }
    Err(Failure::internal(format!(
        "the result is larger than {limit} bytes"
    )))
}

/// Appends names and nanoseconds.
pub(super) fn metrics(out: &mut Vec<u8>, timers: &[(&str, u128)]) {
    let mut object = Members::new(out);
    for (name, nanos) in timers {
        integer(
            object.member(name),
            u64::try_from(*nanos).unwrap_or(u64::MAX),
        );
    }
    object.end();
}

fn provenance(out: &mut Vec<u8>, answered: &Answered<'_>) {
    let mut object = Members::new(out);
    string(object.member("version"), env!("CARGO_PKG_VERSION"));
    for name in ["build_commit", "build_timestamp", "build_hostname"] {
        string(object.member(name), "");
    }
    let mut bundles: Vec<_> = answered.snapshot.bundles.iter().collect();
    bundles.sort_by(|left, right| left.source.cmp(&right.source));
    let mut of_each = Members::new(object.member("bundles"));
    for bundle in bundles {
        let mut one = Members::new(of_each.member(&bundle.source));
        string(one.member("revision"), &bundle.revision);
        one.end();
    }
    of_each.end();
    object.end();
}

/// An object that is written member by member.
pub(super) struct Members<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl<'o> Members<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_first: true,
        }
    }

    /// The place of the member's value.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        string(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}
