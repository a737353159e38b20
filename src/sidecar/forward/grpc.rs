//! Unary gRPC calls on their way up: the message is there, the answer is read whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http::{Method, Request};

use crate::wire::{self, Answer};

use super::body::{Payload, Place};
use super::{ForwardError, Forwarder, Shared, headers};

/// gRPC's word for an upstream that cannot answer.
const UNAVAILABLE: &[u8] = b"14";

/// A call to be sent up.
#[derive(Debug)]
pub struct Call {
    /// `/package.Service/Method`.
    pub path: String,
    pub headers: HeaderMap,
    /// The message with its prefix.
    pub message: Bytes,
    /// How long the caller still waits; None = as long as we do.
    pub left: Option<Duration>,
    /// The largest answer, in bytes.
    pub limit: usize,
}

impl Forwarder {
    /// Sends a call up and answers what comes back.
    ///
    /// # Errors
    ///
    /// [`ForwardError`], which is logged and counted here.
    pub async fn call(&self, call: Call) -> Result<Answer, ForwardError> {
        let path = call.path.clone();
        let mut call = call;
        let span = self.shared.begin(&mut call.headers);
        let result = self.shared.call(call).await;
        if let Some((begun, started)) = span {
            let status = result.as_ref().map(|answer| answer.head.status.as_u16());
            let status = status.map_err(ForwardError::code);
            self.shared.end(begun, started, &Method::POST, status);
        }
        match &result {
            Ok(_) => self.shared.metrics.answered(),
            Err(error) => {
                self.shared.metrics.refused(error.code());
                error.report(&Method::POST, &path);
            }
        }
        result
    }
}

impl Shared {
    async fn call(&self, call: Call) -> Result<Answer, ForwardError> {
        let _place = Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map(|permit| Place::new(permit, self.metrics.in_flight()))
            .map_err(|_| ForwardError::Busy)?;
        let permit = self.breaker.admit(Instant::now())?;
        let Call {
            path,
            headers: mut sent,
            message,
            left,
            limit,
        } = call;
        let ours = left.map_or(self.deadline, |left| left.min(self.deadline));
        let end = Instant::now() + ours;
        let path = path.parse().map_err(|_| ForwardError::Path)?;
        let target = headers::target(&self.base, &path)?;
        headers::prepare(&Method::POST, &mut sent);
        sent.insert(TE, HeaderValue::from_static("trailers"));
        sent.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let mut head = Request::new(()).into_parts().0;
        head.method = Method::POST;
        head.uri = target;
        head.headers = sent;
        let send = |left| {
            let request = Request::from_parts(head.clone(), wire::full(message.clone()));
            self.client.exchange(request, left, limit)
        };
        let payload = Payload::kept(message.clone());
        let result = self.repeat(send, &payload, true, end).await;
        if ours < self.deadline && matches!(result, Err(ForwardError::Deadline)) {
            // The caller's haste says nothing about the control plane.
            drop(permit);
        } else {
            let unavailable = result.as_ref().is_ok_and(is_unavailable);
            self.tell(permit, unavailable, result.as_ref().err());
        }
        let mut answer = result?;
        headers::strip_hop_by_hop(&mut answer.head.headers);
        Ok(answer)
    }
}

/// Whether something between, or the control plane itself, says that it cannot answer.
fn is_unavailable(answer: &Answer) -> bool {
    let status = answer
        .trailers
        .as_ref()
        .unwrap_or(&answer.head.headers)
        .get("grpc-status");
    matches!(answer.head.status.as_u16(), 502..=504)
        || status.is_some_and(|status| status.as_bytes() == UNAVAILABLE)
}
