//! Documents: `/v1/data` by GET and POST, `/v0/data`, and the default decision.

use std::borrow::Cow;
use std::ops::Range;

use http::StatusCode;

use crate::api::json::{integer, raw, uuid};
use crate::api::opa::{Code, ErrorDocument, INPUT_MISSING, string};
use crate::decide::{Answered, Worker};
use crate::engine::rego::write_rego_json;
use crate::engine::{RegoInput, RegoSegment, RegoValue};
use crate::server::buffers;

use super::body::{bare_input, input_of, member_of, whole_value};
use super::error::Failure;
use super::path::{DocumentPath, plain};
use super::reply::{Decided, Reply};
use super::{Call, Form, explain};

/// For the steps of nearly every path.
const ROOM: [RegoSegment<'static>; 12] = [RegoSegment::Index(0); 12];

/// An input, and its text for the decision log.
struct Asked<'t> {
    value: Option<RegoValue>,
    text: Cow<'t, [u8]>,
}

/// What becomes the body of a reply.
pub(super) struct Written {
    pub body: Vec<u8>,
    /// Where in it stands what was decided.
    pub result: Range<usize>,
    pub decided: Decided,
}

impl Written {
    /// The reply, once the worker has recorded the result.
    pub(super) fn reply(self, call: &Call<'_>, worker: &mut Worker) -> Reply {
        worker.record_result(self.body.get(self.result).unwrap_or_default());
        Reply::json(StatusCode::OK, self.body, call.parameters.pretty).decided_by(self.decided)
    }
}

/// `POST /v1/data/{path}`.
pub(super) fn post(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let asked = posted(call)?;
    let warning = asked.value.is_none();
    document(call, path, asked, warning)
}

fn posted<'c>(call: &'c Call<'_>) -> Result<Asked<'c>, Failure> {
    let malformed =
        |error| Failure::invalid(format!("body contains malformed input document: {error}"));
    let value = if let Some(seen) = &call.seen {
        // The authorization policy was shown the body: null is null then, and what is no object has no input.
        member_of(seen, "input").cloned()
    } else if let Some((value, text)) = bare_input(&call.body, call.form, call.depth()) {
        let value = Some(value).filter(|value| *value != RegoValue::Null);
        let text = if value.is_some() { text } else { b"" };
        return Ok(Asked {
            value,
            text: Cow::Borrowed(text),
        });
    } else {
        input_of(call.value().map_err(malformed)?).map_err(malformed)?
    };
    let text = call.logged(value.as_ref());
    Ok(Asked { value, text })
}

/// `GET /v1/data/{path}?input=`.
pub(super) fn get(call: &Call<'_>, path: &str) -> Result<Reply, Failure> {
    let value = match &call.parameters.input {
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
    let text = call.logged(value.as_ref());
    document(call, path, Asked { value, text }, false)
}

fn document(
    call: &Call<'_>,
    text: &str,
    asked: Asked<'_>,
    warning: bool,
) -> Result<Reply, Failure> {
    let parsed = call.elapsed();
    let mut room = ROOM;
    let (decoded, many);
    let path = if let Some(path) = plain(text, &mut room) {
        path
    } else {
        decoded = document_path(text)?;
        many = decoded.segments();
        &many
    };
    let input = RegoInput {
        value: asked.value,
        strict: call.parameters.strict_builtin_errors,
    };
    let question = call.question(text.trim_matches('/'), &asked.text);
    let mut worker = call.handler.worker.borrow_mut();
    let written = worker.rego(path, &input, &question, |answered, answer| {
        let evaluated = call.elapsed();
        let mut out = buffers::take();
        let mut body = Members::new(&mut out);
        if call.live.logs_decisions {
            uuid(body.member("decision_id"), answered.decision_id);
        }
        if call.parameters.provenance {
            provenance(body.member("provenance"), answered);
        }
        if explain::is_wanted(call.parameters.explain, answer.value.is_some()) {
            let path = document_path(text)?;
            let out = body.member("explanation");
            explain::document(out, call, &path, answered, answer.value.as_ref());
        }
        if call.parameters.metrics {
            let timers = [
                ("counter_server_query_cache_hit", 1),
                ("timer_rego_input_parse_ns", parsed.as_nanos()),
                (
                    "timer_rego_query_eval_ns",
                    evaluated.saturating_sub(parsed).as_nanos(),
                ),
                ("timer_server_handler_ns", call.elapsed().as_nanos()),
            ];
            metrics(body.member("metrics"), &timers);
        }
        let mut result = 0..0;
        if let Some(value) = &answer.value {
            let shown = shown(path.is_empty(), value);
            let out = body.member("result");
            result.start = out.len();
            write(shown.as_ref().unwrap_or(value), call, out)?;
            result.end = out.len();
        }
        if warning {
            raw(body.member("warning"), INPUT_MISSING);
        }
        body.end();
        Ok::<_, Failure>(Written {
            body: out,
            result,
            decided: Decided::new(answered, &call.handler.values),
        })
    })??;
    Ok(written.reply(call, &mut worker))
}

fn document_path(text: &str) -> Result<DocumentPath<'_>, Failure> {
    DocumentPath::read(text).map_err(|step| Failure::bad_path(&step.0))
}

/// `POST /v0/data/{path}` and `POST /`: the body is the input, the answer is the bare document.
pub(super) fn v0(call: &Call<'_>, text: &str) -> Result<Reply, Failure> {
    let value = call.value().map_err(|error| {
        Failure::invalid(format!(
            "unexpected parse error for input: body contains malformed input document: {error}"
        ))
    })?;
    let path = document_path(text)?;
    let input = RegoInput {
        value: Some(value.unwrap_or(RegoValue::Null)),
        strict: false,
    };
    let logged = call.logged(input.value.as_ref());
    let question = call.question(text.trim_matches('/'), &logged);
    let mut worker = call.handler.worker.borrow_mut();
    let (body, decided) =
        worker.rego(&path.segments(), &input, &question, |answered, answer| {
            let decided = Decided::new(answered, &call.handler.values);
            let body = match &answer.value {
                Some(value) => {
                    let mut out = buffers::take();
                    let shown = shown(path.steps().is_empty(), value);
                    write(shown.as_ref().unwrap_or(value), call, &mut out)?;
                    Ok(out)
                }
                None => Err(undefined(&path, answered)),
            };
            Ok::<_, Failure>((body, decided))
        })??;
    let reply = match body {
        Ok(body) => {
            worker.record_result(&body);
            Reply::json(StatusCode::OK, body, call.parameters.pretty)
        }
        Err(undefined) => Reply::from(undefined),
    };
    Ok(reply.decided_by(decided))
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
fn shown(is_root: bool, value: &RegoValue) -> Option<RegoValue> {
    let RegoValue::Object(object) = value else {
        return None;
    };
    if !is_root {
        return None;
    }
    let system = RegoValue::from("system");
    object.get(&system)?;
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
pub(super) fn metrics(out: &mut Vec<u8>, timers: &[(&'static str, u128)]) {
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
        let mut one = Members::new(of_each.named(&bundle.source));
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

    /// The place of the value of a member whose name needs no escape.
    pub(super) fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        let start = if std::mem::take(&mut self.is_first) {
            "\""
        } else {
            ",\""
        };
        raw(self.out, start);
        raw(self.out, name);
        raw(self.out, "\":");
        self.out
    }

    /// The place of the value of any member.
    pub(super) fn named(&mut self, name: &str) -> &mut Vec<u8> {
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
