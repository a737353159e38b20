//! Unary gRPC over HTTP/2 without encryption: frames made and read by hand, so that a call costs the
//! generator less than it costs the server.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};

use super::Sent;
use super::hpack::Decoder;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

const LARGEST_WINDOW: u32 = (1 << 31) - 1;
const DEFAULT_WINDOW: u32 = 65_535;

/// A call as it is sent: headers for a connection's first call and for later ones, and the message
/// with its five-byte prefix.
#[derive(Clone, Debug)]
pub struct Call {
    pub first_headers: Vec<u8>,
    pub headers: Vec<u8>,
    pub message: Vec<u8>,
}

impl Call {
    /// A call of `/package.Service/Method`.
    #[must_use]
    pub fn new(path: &str, message: &[u8]) -> Self {
        let (first_headers, headers) = super::hpack::request(path, "localhost");
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend_from_slice(message);
        Self {
            first_headers,
            headers,
            message: framed,
        }
    }
}

/// One connection's state.
#[derive(Debug)]
pub struct Http2 {
    next_stream: u32,
    /// The calls under way from the oldest on, by stream; None where one has ended.
    calls: VecDeque<Option<Underway>>,
    /// Stream of the first of them.
    oldest: u32,
    /// Bytes that may still be sent on the connection.
    window: i64,
    /// Bytes received that the server was not yet given credit for.
    received: u32,
    decoder: Decoder,
    /// A header block that goes on in further frames.
    block: Vec<u8>,
}

#[derive(Debug)]
struct Underway {
    sent: Sent,
    status: Option<u16>,
}

impl Http2 {
    /// A new connection; what opens it is appended to `out`.
    #[must_use]
    pub fn open(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(PREFACE);
        // INITIAL_WINDOW_SIZE: as large as can be; ENABLE_PUSH: no.
        let mut settings = vec![0, 2, 0, 0, 0, 0, 0, 4];
        settings.extend(LARGEST_WINDOW.to_be_bytes());
        frame(out, SETTINGS, 0, 0, &settings);
        let credit = LARGEST_WINDOW - DEFAULT_WINDOW;
        frame(out, WINDOW_UPDATE, 0, 0, &credit.to_be_bytes());
        Self {
            next_stream: 1,
            calls: VecDeque::new(),
            oldest: 1,
            window: i64::from(DEFAULT_WINDOW),
            received: 0,
            decoder: Decoder::default(),
            block: Vec::new(),
        }
    }

    /// Whether the server has room for this call now.
    #[must_use]
    pub const fn has_room(&self, call: &Call) -> bool {
        self.window >= call.message.len() as i64
    }

    /// Appends a call's frames.
    pub fn send(&mut self, call: &Call, sent: Sent, out: &mut Vec<u8>) {
        let stream = self.next_stream;
        self.next_stream += 2;
        let headers = if stream == 1 {
            &call.first_headers
        } else {
            &call.headers
        };
        frame(out, HEADERS, END_HEADERS, stream, headers);
        frame(out, DATA, END_STREAM, stream, &call.message);
        self.window -= call.message.len() as i64;
        self.calls.push_back(Some(Underway { sent, status: None }));
    }

    /// Reads the whole frames in `input`: how many bytes they took. Calls that ended are given to
    /// `each` with their gRPC status, or the HTTP one where that is not 200; None where the call was reset.
    ///
    /// # Errors
    ///
    /// A frame that breaks the protocol, or the end of the connection.
    pub fn read(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        mut each: impl FnMut(Sent, Option<u16>),
    ) -> Result<usize> {
        let mut at = 0;
        while let Some(head) = input.get(at..at + HEAD) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & LARGEST_WINDOW;
            let Some(payload) = input.get(at + HEAD..at + HEAD + length) else {
                break;
            };
            at += HEAD + length;
            match kind {
                HEADERS | CONTINUATION => self.headers(kind, flags, stream, payload, &mut each)?,
                DATA => self.data(flags, stream, length, out, &mut each)?,
                RST_STREAM => {
                    if let Some(call) = self.end(stream) {
                        each(call.sent, None);
                    }
                }
                SETTINGS if flags & ACK == 0 => {
                    settings(payload)?;
                    frame(out, SETTINGS, ACK, 0, &[]);
                }
                PING if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
                WINDOW_UPDATE if stream == 0 => self.window += i64::from(word(payload)?),
                GOAWAY => bail!("the server ends the connection"),
                _ => {}
            }
        }
        Ok(at)
    }

    /// Calls whose answers will not come any more.
    pub fn underway(&self) -> impl Iterator<Item = Sent> {
        self.calls.iter().flatten().map(|call| call.sent)
    }

    fn headers(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        each: &mut impl FnMut(Sent, Option<u16>),
    ) -> Result<()> {
        let fragment = if kind == HEADERS {
            self.block.clear();
            unpadded(flags, payload)?
        } else {
            payload
        };
        self.block.extend_from_slice(fragment);
        if kind == HEADERS && flags & END_STREAM != 0 && flags & END_HEADERS == 0 {
            bail!("trailers in several frames");
        }
        if flags & END_HEADERS == 0 {
            return Ok(());
        }
        let fields = self.decoder.decode(&self.block)?;
        let ended = kind == HEADERS && flags & END_STREAM != 0;
        let Some(call) = self.call(stream) else {
            return Ok(());
        };
        let refused = fields.status.filter(|status| *status != 200);
        call.status = call.status.or(refused).or(fields.grpc_status);
        if ended && let Some(call) = self.end(stream) {
            each(call.sent, call.status);
        }
        Ok(())
    }

    fn data(
        &mut self,
        flags: u8,
        stream: u32,
        length: usize,
        out: &mut Vec<u8>,
        each: &mut impl FnMut(Sent, Option<u16>),
    ) -> Result<()> {
        self.received += u32::try_from(length)?;
        if self.received > LARGEST_WINDOW / 2 {
            frame(out, WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
        // A gRPC answer ends with trailers: one that ends with data has no status.
        if flags & END_STREAM != 0
            && let Some(call) = self.end(stream)
        {
            each(call.sent, call.status);
        }
        Ok(())
    }

    fn call(&mut self, stream: u32) -> Option<&mut Underway> {
        let place = stream.checked_sub(self.oldest)? as usize / 2;
        self.calls.get_mut(place)?.as_mut()
    }

    fn end(&mut self, stream: u32) -> Option<Underway> {
        let place = stream.checked_sub(self.oldest)? as usize / 2;
        let ended = self.calls.get_mut(place)?.take();
        while matches!(self.calls.front(), Some(None)) {
            self.calls.pop_front();
            self.oldest += 2;
        }
        ended
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A header block's fragment without padding and priority.
fn unpadded(flags: u8, mut payload: &[u8]) -> Result<&[u8]> {
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (&length, rest) = payload.split_first().context("an empty padded frame")?;
        (padding, payload) = (usize::from(length), rest);
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..).context("a frame without its priority")?;
    }
    let end = payload.len().checked_sub(padding);
    end.and_then(|end| payload.get(..end))
        .context("a frame with more padding than bytes")
}

/// Refuses what this generator cannot do.
fn settings(payload: &[u8]) -> Result<()> {
    const HEADER_TABLE_SIZE: u16 = 1;
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    for setting in payload.chunks_exact(6) {
        let value = word(&setting[2..])?;
        match u16::from_be_bytes([setting[0], setting[1]]) {
            HEADER_TABLE_SIZE if value < 4096 => {
                bail!("the server keeps a header table of {value} bytes, 4096 are needed");
            }
            MAX_CONCURRENT_STREAMS if (value as usize) < super::MOST_STREAMS => {
                bail!("the server takes {value} calls at once on a connection");
            }
            _ => {}
        }
    }
    Ok(())
}

fn word(bytes: &[u8]) -> Result<u32> {
    let four = bytes.first_chunk().context("a frame is too short")?;
    Ok(u32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sent(request: usize) -> Sent {
        let now = Instant::now();
        Sent {
            request,
            intended: now,
            at: now,
        }
    }

    fn answer(out: &mut Vec<u8>, stream: u32, status: &[u8]) {
        frame(out, HEADERS, END_HEADERS, stream, &[0x88]);
        frame(out, DATA, 0, stream, b"\0\0\0\0\0");
        let trailers = [b"\x00\x0bgrpc-status\x01", status].concat();
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream, &trailers);
    }

    #[test]
    fn calls_end_in_any_order_with_their_own_status() {
        let (mut out, mut input) = (Vec::new(), Vec::new());
        let mut connection = Http2::open(&mut out);
        let call = Call::new("/a.B/C", b"message");
        for request in 0..4 {
            connection.send(&call, sent(request), &mut out);
        }
        answer(&mut input, 5, b"0");
        answer(&mut input, 1, b"7");
        frame(&mut input, RST_STREAM, 0, 7, &[0; 4]);
        frame(&mut input, PING, 0, 0, &[1; 8]);
        frame(&mut input, SETTINGS, 0, 0, &[]);
        let mut ended = Vec::new();
        out.clear();
        // In pieces, as a socket gives it.
        let (mut held, mut rest) = (Vec::new(), input.as_slice());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(5));
            held.extend_from_slice(piece);
            rest = after;
            let read = connection
                .read(&held, &mut out, |sent, status| {
                    ended.push((sent.request, status));
                })
                .unwrap();
            held.drain(..read);
        }
        assert_eq!(ended, [(2, Some(0)), (0, Some(7)), (3, None)]);
        assert_eq!(
            connection
                .underway()
                .map(|sent| sent.request)
                .collect::<Vec<_>>(),
            [1]
        );
        assert_eq!(
            out,
            b"\0\0\x08\x06\x01\0\0\0\0\x01\x01\x01\x01\x01\x01\x01\x01\0\0\0\x04\x01\0\0\0\0"
        );
    }

    #[test]
    fn no_more_is_sent_than_the_server_has_room_for() {
        let (mut out, mut input) = (Vec::new(), Vec::new());
        let mut connection = Http2::open(&mut out);
        let call = Call::new("/a.B/C", &vec![0; 40_000]);
        assert!(connection.has_room(&call));
        connection.send(&call, sent(0), &mut out);
        assert!(!connection.has_room(&call));
        frame(&mut input, WINDOW_UPDATE, 0, 0, &40_000_u32.to_be_bytes());
        connection.read(&input, &mut out, |_, _| {}).unwrap();
        assert!(connection.has_room(&call));
    }

    #[test]
    fn a_server_that_ends_or_cannot_is_an_error() {
        for (kind, payload) in [
            (GOAWAY, &[0; 8][..]),
            (SETTINGS, &[0, 1, 0, 0, 0, 0]),
            (SETTINGS, &[0, 3, 0, 0, 0, 1]),
            (WINDOW_UPDATE, &[0]),
        ] {
            let (mut out, mut input) = (Vec::new(), Vec::new());
            let mut connection = Http2::open(&mut out);
            frame(&mut input, kind, 0, 0, payload);
            assert!(connection.read(&input, &mut out, |_, _| {}).is_err());
        }
    }
}
