//! Buffers for replies that a thread uses again and again.

use std::cell::RefCell;

use bytes::Buf;

/// How many buffers a thread keeps.
const KEPT: usize = 32;
/// A buffer that grew beyond this many bytes is given back to the allocator.
const KEPT_BYTES: usize = 16 * 1024;

thread_local! {
    static IDLE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer. It comes back when the body that is made of it has been written.
#[must_use]
pub fn take() -> Vec<u8> {
    let idle = IDLE.try_with(|idle| idle.borrow_mut().pop());
    idle.ok().flatten().unwrap_or_default()
}

/// Bytes that are being sent; goes back to the thread's buffers when dropped.
#[derive(Debug)]
pub struct Sending {
    bytes: Vec<u8>,
    sent: usize,
}

impl From<Vec<u8>> for Sending {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0 }
    }
}

impl Buf for Sending {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.sent
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.bytes.len());
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() == 0 || bytes.capacity() > KEPT_BYTES {
            return;
        }
        bytes.clear();
        // Fails only while the thread ends.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < KEPT {
                idle.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_it_is_sent() {
        let mut buffer = take();
        buffer.extend_from_slice(&[b'x'; 100]);
        let place = buffer.as_ptr();
        let mut sending = Sending::from(buffer);
        sending.advance(40);
        assert_eq!((sending.remaining(), sending.chunk().len()), (60, 60));
        drop(sending);
        let again = take();
        assert!(again.is_empty() && again.as_ptr() == place);
        drop(Sending::from(vec![0; KEPT_BYTES + 1]));
        assert_eq!(take().capacity(), 0, "large ones are not kept");
    }
}
