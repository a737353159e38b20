//! An answer under way: a future that is small, because every request moves it around.
//!
//! What most decisions do is done without waiting but for the body. What is rare, or waits for something else, is boxed.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response};
use hyper::body::Incoming;

use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::Door;
use crate::server::body::{Body, Reading};

use super::Handler;
use super::error::Failure;
use super::reply::Reply;
use crate::sidecar::metrics::Route;
use crate::sidecar::revision::{self, Wanted};

/// The answer to one request.
#[expect(
    clippy::large_enum_variant,
    reason = "a box for every decision would cost more than moving 500 bytes"
)]
pub enum Answer {
    /// Known at once; None once it was given.
    Ready(Option<Response<Body>>),
    /// As soon as the body is there.
    Reading(Reading<Incoming>, Asking),
    Boxed(Pin<Box<dyn Future<Output = Response<Body>>>>),
}

/// A call that was admitted, without its body.
pub struct Asking {
    pub(super) handler: Rc<Handler>,
    pub(super) door: Rc<Door>,
    pub(super) head: Parts,
    pub(super) route: Route,
    pub(super) now: Timestamp,
    pub(super) request_id: HeaderValue,
    pub(super) claims: Option<Arc<Claims>>,
    pub(super) wanted: Option<Wanted>,
}

impl Answer {
    /// An answer that is seldom asked for, or takes long.
    pub fn boxed(answer: impl Future<Output = Response<Body>> + 'static) -> Self {
        Self::Boxed(Box::pin(answer))
    }
}

impl Future for Answer {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let answer = self.get_mut();
        match answer {
            Self::Ready(response) => response.take().map_or(Poll::Pending, Poll::Ready),
            Self::Boxed(answer) => answer.as_mut().poll(context),
            Self::Reading(reading, asking) => {
                let Poll::Ready(body) = Pin::new(reading).poll(context) else {
                    return Poll::Pending;
                };
                let body = match body {
                    Ok(body) => body,
                    Err(error) => return Poll::Ready(asking.reply(Err(error.into()))),
                };
                if !asking.waits() {
                    let result = asking.decide(body);
                    return Poll::Ready(asking.reply(result));
                }
                let Self::Reading(_, mut asking) = std::mem::replace(answer, Self::Ready(None))
                else {
                    return Poll::Pending;
                };
                *answer = Self::boxed(async move {
                    let result = asking.decide_waiting(body).await;
                    asking.reply(result)
                });
                Pin::new(answer).poll(context)
            }
        }
    }
}

impl Asking {
    /// Whether the decision waits for more than the body.
    fn waits(&self) -> bool {
        self.wanted.is_some() || self.route == Route::Evaluations
    }

    /// Reads the body, where the call takes one.
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
