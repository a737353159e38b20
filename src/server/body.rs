//! Bodies: requests read within a limit and a time, replies that are bytes or a stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::buffers::Sending;
use super::life::Busy;

/// Any error of a stream.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A reply's body.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// All of it, in a buffer that the thread uses again ([`super::buffers`]).
    Buffer(Vec<u8>),
    /// As it comes.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
    /// As it comes, with its connection busy until it ends.
    Watched(UnsyncBoxBody<Bytes, BoxError>, Busy),
}

/// A piece of a reply.
#[derive(Debug)]
pub enum Data {
    Shared(Bytes),
    Buffer(Sending),
}

impl Body {
    /// Nothing.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Full(Bytes::new())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Buffer(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, BoxError>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => {
                let data = Data::Shared(std::mem::take(bytes));
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Self::Buffer(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Buffer(bytes) => {
                let data = Data::Buffer(std::mem::take(bytes).into());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Self::Stream(stream) | Self::Watched(stream, _) => Pin::new(stream)
                .poll_frame(context)
                .map_ok(|frame| frame.map_data(Data::Shared)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Buffer(bytes) => bytes.is_empty(),
            Self::Stream(stream) | Self::Watched(stream, _) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Buffer(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) | Self::Watched(stream, _) => stream.size_hint(),
        }
    }
}

impl Buf for Data {
    fn remaining(&self) -> usize {
        match self {
            Self::Shared(bytes) => bytes.remaining(),
            Self::Buffer(bytes) => bytes.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes.chunk(),
            Self::Buffer(bytes) => bytes.chunk(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Shared(bytes) => bytes.advance(count),
            Self::Buffer(bytes) => bytes.advance(count),
        }
    }
}

/// Why a request's body is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the body broke off")]
    Broken,
}

/// Reads a whole body of at most `limit` bytes within `timeout`. A body that announces more is refused unread.
/// Where all of it has arrived already no timer is made and nothing is copied.
///
/// # Errors
///
/// [`BodyError`].
pub async fn read<B>(body: B, limit: usize, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    Reading::new(body, limit, timeout)?.await
}

/// A body that is being read; see [`read`]. Small, and its own future: every request moves one around.
#[derive(Debug)]
pub struct Reading<B> {
    body: B,
    limit: usize,
    size: usize,
    /// The first piece, which most bodies are.
    first: Bytes,
    /// All pieces, once there are several.
    rest: BytesMut,
    timeout: Duration,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<B> Reading<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    /// Begins to read; nothing is asked of the body yet.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLarge`] where it announces more than `limit` bytes.
    pub fn new(body: B, limit: usize, timeout: Duration) -> Result<Self, BodyError> {
        if body.size_hint().lower() > limit as u64 {
            return Err(BodyError::TooLarge(limit));
        }
        Ok(Self {
            body,
            limit,
            size: 0,
            first: Bytes::new(),
            rest: BytesMut::new(),
            timeout,
            timer: None,
        })
    }

    fn take_in(&mut self, data: Bytes) -> Result<(), BodyError> {
        self.size += data.len();
        if self.size > self.limit {
            return Err(BodyError::TooLarge(self.limit));
        }
        if self.first.is_empty() {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.reserve(self.size);
                self.rest.extend_from_slice(&self.first);
            }
            self.rest.extend_from_slice(&data);
        }
        Ok(())
    }

    fn whole(&mut self) -> Bytes {
        if self.rest.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            std::mem::take(&mut self.rest).freeze()
        }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        let timeout = self.timeout;
        self.timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)))
            .as_mut()
            .poll(context)
            .map(|()| Err(BodyError::Timeout(timeout)))
    }
}

impl<B> Future for Reading<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    type Output = Result<Bytes, BodyError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reading = self.get_mut();
        loop {
            match Pin::new(&mut reading.body).poll_frame(context) {
                Poll::Pending => return reading.expired(context),
                Poll::Ready(None) => return Poll::Ready(Ok(reading.whole())),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Broken)),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && let Err(error) = reading.take_in(data)
                    {
                        return Poll::Ready(Err(error));
                    }
                    // Where its length was announced, the last piece is known as such.
                    if reading.body.is_end_stream() {
                        return Poll::Ready(Ok(reading.whole()));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    /// Parts that arrive one by one; then the end, or nothing for ever.
    struct InParts {
        parts: VecDeque<&'static str>,
        ends: bool,
    }

    impl http_body::Body for InParts {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            match self.parts.pop_front() {
                Some(part) => {
                    Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
                }
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn parts(parts: &[&'static str]) -> InParts {
        InParts {
            parts: parts.iter().copied().collect(),
            ends: true,
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let full = |text: &str| http_body_util::Full::new(Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(read(full("abc"), 3, LONG).await.unwrap(), "abc");
        assert_eq!(
            read(full("abcd"), 3, LONG).await,
            Err(BodyError::TooLarge(3))
        );
        assert_eq!(read(full(""), 3, LONG).await.unwrap(), "");
        assert_eq!(
            read(parts(&["ab", "", "cd", "e"]), 5, LONG).await.unwrap(),
            "abcde"
        );
        assert_eq!(
            read(parts(&["ab", "cd"]), 3, LONG).await,
            Err(BodyError::TooLarge(3))
        );
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_times_out() {
        let body = InParts {
            parts: ["a"].into(),
            ends: false,
        };
        let short = Duration::from_millis(10);
        assert_eq!(read(body, 3, short).await, Err(BodyError::Timeout(short)));
    }
}
