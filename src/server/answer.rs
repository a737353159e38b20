//! An answer under way: a future that is small, because every request moves it around.
//!
//! What most requests need is done without waiting but for the body. What is rare, or waits for something else, is
//! boxed.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::Incoming;

use super::body::{Body, BodyError, Reading};

/// An answer that is seldom asked for, or takes long.
pub type Boxed = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// A request that was admitted, without its body.
pub trait Asking: Unpin + 'static {
    /// The answer; or the body again, where there is more to wait for: [`Self::later`].
    ///
    /// # Errors
    ///
    /// The body.
    fn answer(&mut self, body: Result<Bytes, BodyError>) -> Result<Response<Body>, Bytes>;

    /// The answer where it waits for more than the body.
    fn later(self, body: Bytes) -> Boxed;
}

/// The answer to one request.
pub enum Answer<A> {
    /// Known at once; None once it was given.
    Ready(Option<Response<Body>>),
    /// As soon as the body is there.
    Reading(Reading<Incoming>, A),
    Boxed(Boxed),
}

impl<A> std::fmt::Debug for Answer<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Reading(..) => "Reading",
            Self::Boxed(_) => "Boxed",
        })
    }
}

impl<A: Asking> Answer<A> {
    /// An answer that is seldom asked for, or takes long.
    pub fn boxed(answer: impl Future<Output = Response<Body>> + 'static) -> Self {
        Self::Boxed(Box::pin(answer))
    }
}

impl<A: Asking> Future for Answer<A> {
    type Output = Response<Body>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let answer = self.get_mut();
        let body = match answer {
            Self::Ready(response) => return response.take().map_or(Poll::Pending, Poll::Ready),
            Self::Boxed(answer) => return answer.as_mut().poll(context),
            Self::Reading(reading, asking) => {
                let Poll::Ready(body) = Pin::new(reading).poll(context) else {
                    return Poll::Pending;
                };
                match asking.answer(body) {
                    Ok(response) => return Poll::Ready(response),
                    Err(body) => body,
                }
            }
        };
        let Self::Reading(_, asking) = std::mem::replace(answer, Self::Ready(None)) else {
            return Poll::Pending;
        };
        *answer = Self::Boxed(asking.later(body));
        Pin::new(answer).poll(context)
    }
}
