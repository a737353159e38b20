//! The body of a gRPC answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tonic::Status;

use super::messages::Messages;
use super::metrics::Call;

/// A body.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing: status and message are in the headers.
    #[default]
    Empty,
    /// One message with its prefix, then the trailers.
    Whole {
        message: Option<Bytes>,
        trailers: Option<Box<HeaderMap>>,
    },
    /// As it comes.
    Stream(tonic::body::Body),
    /// As it comes, and counted.
    Watched(Box<Watched>),
}

/// A stream whose messages and end are counted.
#[derive(Debug)]
pub struct Watched {
    stream: tonic::body::Body,
    messages: Messages,
    call: Call,
}

impl Watched {
    pub(super) const fn new(stream: tonic::body::Body, call: Call) -> Self {
        Self {
            stream,
            messages: Messages::new(),
            call,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.stream).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.call.sent(self.messages.take(data));
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.call.end_as(trailers);
                }
            }
            Some(Err(status)) => self.call.end(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }
}

impl From<tonic::body::Body> for Body {
    fn from(body: tonic::body::Body) -> Self {
        Self::Stream(body)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole { message, trailers } => {
                let frame = match message.take() {
                    Some(message) => Some(Frame::data(message)),
                    None => trailers.take().map(|trailers| Frame::trailers(*trailers)),
                };
                Poll::Ready(frame.map(Ok))
            }
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
            Self::Watched(watched) => watched.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { message, trailers } => message.is_none() && trailers.is_none(),
            Self::Stream(stream) => stream.is_end_stream(),
            Self::Watched(watched) => watched.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole { message, .. } => {
                SizeHint::with_exact(message.as_ref().map_or(0, |message| message.len() as u64))
            }
            Self::Stream(stream) => stream.size_hint(),
            Self::Watched(watched) => watched.stream.size_hint(),
        }
    }
}
