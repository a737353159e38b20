//! `POST /v1/validate` and `POST /v1/consumption/validate`.

use crate::api::decision::{self, Timing};
use crate::server::buffers;

use super::Call;
use super::access::envelope;
use super::error::Failure;
use super::reply::Reply;

pub(super) fn validate(call: &Call<'_>) -> Result<Reply, Failure> {
    let mut worker = call.handler.worker.borrow_mut();
    let body = worker.validate(&call.body, &call.question(), |answered, answer| {
        let mut out = buffers::take();
        let timing = Timing {
            validated_at: call.now,
            duration_ms: answered.nanos() / 1_000_000,
        };
        let mut compliant = call.handler.compliant.borrow_mut();
        compliant.write(&mut out, &envelope(answered), timing, answer);
        out
    })?;
    worker.record_result(&body);
    Ok(Reply::decision(body))
}

pub(super) fn consumption(call: &Call<'_>) -> Result<Reply, Failure> {
    let mut worker = call.handler.worker.borrow_mut();
    let body = worker.consumption(&call.body, &call.question(), |answered, answer| {
        let mut out = buffers::take();
        decision::consumption(&mut out, &envelope(answered), answer);
        out
    })?;
    worker.record_result(&body);
    Ok(Reply::decision(body))
}
