//! The body of a gRPC answer: nothing, or whatever a tonic service streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;

/// A body.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing: status and message are in the headers.
    #[default]
    Empty,
    /// As it comes.
    Stream(tonic::body::Body),
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
        let this = self.get_mut();
        match std::mem::take(this) {
            Self::Empty => Poll::Ready(None),
            Self::Stream(mut stream) => {
                let polled = Pin::new(&mut stream).poll_frame(context);
                *this = Self::Stream(stream);
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
