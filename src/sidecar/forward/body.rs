//! Bodies on their way up, kept or streamed, and on their way back, watched.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prometheus::IntGauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::wire::{self, BoxError, WireError};

use super::ForwardError;

/// A body of at most this many bytes is kept, so that it can be sent again.
const KEPT: u64 = 64 * 1024;

/// A caller's body.
pub(super) enum Payload {
    Kept(Bytes),
    Streamed(Arc<Source>),
}

/// A streamed body until someone begins to read it, and what happened since.
pub(super) struct Source {
    unread: Mutex<Option<Incoming>>,
    size: SizeHint,
    /// The reader waits for the caller's next bytes.
    waiting: AtomicBool,
    /// The caller's body ended early.
    broken: AtomicBool,
}

impl Payload {
    /// A body that is all there.
    pub(super) const fn kept(body: Bytes) -> Self {
        Self::Kept(body)
    }

    /// Reads a small body whole, within `deadline`; leaves one that is large, or does not say how
    /// large it is, to be streamed.
    pub(super) async fn new(body: Incoming, deadline: Duration) -> Result<Self, ForwardError> {
        let size = body.size_hint();
        if body.is_end_stream() {
            return Ok(Self::Kept(Bytes::new()));
        }
        if size.exact().is_some_and(|size| size <= KEPT) {
            return match tokio::time::timeout(deadline, body.collect()).await {
                Ok(Ok(whole)) => Ok(Self::Kept(whole.to_bytes())),
                Ok(Err(_)) => Err(ForwardError::CallerBroke),
                Err(_) => Err(ForwardError::CallerTooSlow),
            };
        }
        Ok(Self::Streamed(Arc::new(Source {
            unread: Mutex::new(Some(body)),
            size,
            waiting: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        })))
    }

    pub(super) const fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// Whether it can still be sent from its beginning.
    pub(super) fn is_untouched(&self) -> bool {
        match self {
            Self::Kept(_) => true,
            Self::Streamed(source) => source.unread().is_some(),
        }
    }

    /// The body for one attempt.
    pub(super) fn body(&self) -> wire::Body {
        match self {
            Self::Kept(bytes) if bytes.is_empty() => wire::empty(),
            Self::Kept(bytes) => wire::full(bytes.clone()),
            Self::Streamed(source) => Streamed {
                source: Arc::clone(source),
                reading: None,
            }
            .boxed_unsync(),
        }
    }

    /// Why sending failed: the caller's doing where it was, else as the client says.
    pub(super) fn explain(&self, error: WireError) -> ForwardError {
        let Self::Streamed(source) = self else {
            return error.into();
        };
        if source.broken.load(Ordering::Relaxed) {
            return ForwardError::CallerBroke;
        }
        match error {
            WireError::Deadline(_) if source.waiting.load(Ordering::Relaxed) => {
                ForwardError::CallerTooSlow
            }
            _ => error.into(),
        }
    }
}

impl Source {
    fn unread(&self) -> std::sync::MutexGuard<'_, Option<Incoming>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the body from its source when first read: until then another attempt may have it.
struct Streamed {
    source: Arc<Source>,
    reading: Option<Incoming>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { source, reading } = &mut *self;
        if reading.is_none() {
            *reading = source.unread().take();
        }
        let Some(body) = reading else {
            return Poll::Ready(Some(Err("the body was read before".into())));
        };
        let polled = Pin::new(body).poll_frame(context);
        source.waiting.store(polled.is_pending(), Ordering::Relaxed);
        match ready!(polled) {
            Some(Err(error)) => {
                source.broken.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reading.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.reading {
            Some(body) => body.size_hint(),
            None => self.source.size,
        }
    }
}

/// A request's place among those in flight, until it is dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    in_flight: IntGauge,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, in_flight: &IntGauge) -> Self {
        in_flight.inc();
        Self {
            _permit: permit,
            in_flight: in_flight.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

/// An answer's body: keeps the request's place until it ends, and breaks when no piece comes for
/// too long.
pub(super) struct Guarded {
    body: Incoming,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    _place: Place,
}

impl Guarded {
    pub(super) fn new(body: Incoming, patience: Duration, place: Place) -> Self {
        Self {
            body,
            patience,
            silence: Box::pin(tokio::time::sleep(patience)),
            _place: place,
        }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.silence.as_mut().reset(Instant::now() + this.patience);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(context));
                Poll::Ready(Some(Err("the control plane stopped answering".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
