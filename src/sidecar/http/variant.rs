//! `POST /v1/variant`.

use crate::api::decision;
use crate::server::buffers;

use super::Call;
use super::access::envelope;
use super::error::Failure;
use super::reply::Reply;

pub(super) fn variant(call: &Call<'_>) -> Result<Reply, Failure> {
    let mut worker = call.handler.worker.borrow_mut();
    let body = worker.variant(&call.body, &call.question(), |answered, answer| {
        let mut out = buffers::take();
        decision::variant(&mut out, &envelope(answered), answer);
        out
    })?;
    worker.record_result(&body);
    Ok(Reply::decision(body))
}
