//! A decision call between its head and its answer.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};
use hyper::body::Incoming;

use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::Door;
use crate::server::answer::{self, Boxed};
use crate::server::body::{Body, BodyError, Reading};

use super::Handler;
use super::error::Failure;
use super::reply::Reply;
use crate::sidecar::metrics::Route;
use crate::sidecar::revision::{self, Wanted};

/// The answer to one request.
pub type Answer = answer::Answer<Asking>;

/// A call that was admitted, without its body.
pub struct Asking {
    pub(super) handler: Rc<Handler>,
    pub(super) door: Rc<Door>,
    pub(super) head: Parts,
    pub(super) route: Route,
    pub(super) now: Timestamp,
    pub(super) request_id: HeaderValue,
    /// Whether there is a `traceparent`.
    pub(super) traced: bool,
    pub(super) claims: Option<Arc<Claims>>,
    pub(super) wanted: Option<Wanted>,
}

impl answer::Asking for Asking {
    #[inline]
    fn answer(&mut self, body: Result<Bytes, BodyError>) -> Result<Response<Body>, Bytes> {
        match body {
            Ok(body) if self.waits() => Err(body),
            Ok(body) => {
                let result = self.decide(body);
                Ok(self.reply(result))
            }
            Err(error) => Ok(self.reply(Err(error.into()))),
        }
    }

    fn later(mut self, body: Bytes) -> Boxed {
        Box::pin(async move {
            let result = self.decide_waiting(body).await;
            self.reply(result)
        })
    }
}

impl Asking {
    /// Whether the decision waits for more than the body.
    fn waits(&self) -> bool {
        self.wanted.is_some() || self.route == Route::Evaluations
    }

    /// Reads the body, where the call takes one.
    #[inline]
    pub(super) fn read(mut self, incoming: Incoming) -> Answer {
        if self.route == Route::Metadata {
            let result = super::authzen::metadata(&self.handler);
            return Answer::Ready(Some(self.reply(result)));
        }
        let limits = &self.handler.shared.limits;
        match Reading::new(incoming, limits.body_bytes, limits.body_timeout) {
            Ok(reading) => Answer::Reading(reading, self),
            Err(error) => Answer::Ready(Some(self.reply(Err(error.into())))),
        }
    }

    fn decide(&self, body: Bytes) -> Result<Reply, Failure> {
        self.call(body)?.decide(self.route, self.head.uri.query())
    }

    async fn decide_waiting(&self, body: Bytes) -> Result<Reply, Failure> {
        let call = self.call(body)?;
        if let Some(wanted) = self.wanted {
            revision::reach(&self.handler.shared, wanted).await?;
        }
        match self.route {
            Route::Evaluations => super::authzen::evaluations(&call).await,
            route => call.decide(route, self.head.uri.query()),
        }
    }

    /// The request's header map is used again for the response.
    pub(super) fn reply(&mut self, result: Result<Reply, Failure>) -> Response<Body> {
        let headers = std::mem::take(&mut self.head.headers);
        let request_id = std::mem::replace(&mut self.request_id, HeaderValue::from_static(""));
        let path = self.head.uri.path();
        self.handler
            .reply(self.route, path, headers, request_id, self.now, result)
    }
}
