//! Queries: `/v1/query`.

use crate::engine::{RegoInput, RegoValue};
use crate::server::buffers;

use super::Call;
use super::body::{input_of, text_of};
use super::data::{Members, Written, metrics, write};
use super::error::Failure;
use super::parameters::Explain;
use super::reply::{Decided, Reply};

/// `GET /v1/query?q=`.
pub(super) fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    match &call.parameters.query {
        Some(query) => run(call, query, None),
        None => Err(Failure::invalid("missing parameter 'q'")),
    }
}

/// `POST /v1/query`.
pub(super) fn post(call: &Call<'_>) -> Result<Reply, Failure> {
    let wrong = |error: String| {
        Failure::invalid(format!("error(s) occurred while decoding request: {error}"))
    };
    let request = call.value().map_err(wrong)?;
    let request = request.ok_or_else(|| wrong("EOF".to_owned()))?;
    let query = match &request {
        RegoValue::Null => String::new(),
        request => text_of(request, "query", "QueryRequestV1").map_err(wrong)?,
    };
    let input = input_of(Some(request)).map_err(wrong)?;
    run(call, &query, input)
}

fn run(call: &Call<'_>, query: &str, input: Option<RegoValue>) -> Result<Reply, Failure> {
    let parsed = call.elapsed();
    let input = RegoInput {
        value: input,
        strict: false,
    };
    let logged = call.logged(input.value.as_ref());
    let question = call.question(query, &logged);
    let mut worker = call.handler.worker.borrow_mut();
    let written = worker.rego_query(query, &input, &question, |answered, bindings| {
        let evaluated = call.elapsed();
        let mut out = buffers::take();
        let mut body = Members::new(&mut out);
        if call.parameters.explain != Explain::Off {
            body.member("explanation").extend_from_slice(b"[]");
        }
        if call.parameters.metrics {
            let timers = [
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
        if !bindings.is_empty() {
            let out = body.member("result");
            result.start = out.len();
            for (index, binding) in bindings.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                write(binding, call, out)?;
            }
            out.push(b']');
            result.end = out.len();
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
