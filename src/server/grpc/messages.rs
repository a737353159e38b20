//! How many messages begin in a stream of bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::metrics::Calls;
use super::metrics::Labels;

const PREFIX: usize = 5;

/// Follows the prefixes of messages, wherever the bytes are cut.
#[derive(Debug)]
pub(super) struct Messages {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that came.
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl Messages {
    pub(super) const fn new() -> Self {
        Self {
            prefix: [0; PREFIX],
            known: 0,
            left: 0,
        }
    }

    /// Takes the next bytes; gives how many messages' prefixes were completed in them.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        loop {
            let passed = self.left.min(bytes.len());
            self.left -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else {
                return begun;
            };
            bytes = rest;
            if let Some(place) = self.prefix.get_mut(self.known) {
                *place = *byte;
            }
            self.known += 1;
            if self.known == PREFIX {
                let [_, a, b, c, d] = self.prefix;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.known = 0;
                begun += 1;
            }
        }
    }
}

/// A request's body whose messages are counted.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    messages: Messages,
    calls: Calls,
    labels: Labels,
}

impl<B> Counted<B> {
    pub(super) const fn new(body: B, calls: Calls, labels: Labels) -> Self {
        Self {
            body,
            messages: Messages::new(),
            calls,
            labels,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let begun = self.messages.take(data);
            self.calls.received(self.labels, begun);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_wherever_the_bytes_are_cut() {
        let stream = b"\0\0\0\0\x02ab\0\0\0\0\0\x01\0\0\0\x03\0\0\0";
        for size in 1..=stream.len() {
            let mut messages = Messages::new();
            let counted: u64 = stream.chunks(size).map(|part| messages.take(part)).sum();
            assert_eq!(counted, 3, "cut every {size} bytes");
        }
        assert_eq!(Messages::new().take(b"\0\0\0\0"), 0);
    }
}
