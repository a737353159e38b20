//! A unary call by hand: framing, deadline, trailers.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use tonic::Status;

use crate::server::body::{self, BodyError};

use super::body::Body;

/// Before each message: whether it is compressed, and its length.
pub const PREFIX: usize = 5;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const OK: HeaderValue = HeaderValue::from_static("0");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Bounds of a request message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub message_bytes: usize,
    pub timeout: Duration,
}

/// When the caller stops waiting; None = never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Of a call that begins now.
    ///
    /// # Errors
    ///
    /// `INVALID_ARGUMENT` for what is no time.
    pub fn of(headers: &HeaderMap) -> Result<Self, Status> {
        let Some(value) = headers.get(GRPC_TIMEOUT) else {
            return Ok(Self(None));
        };
        let timeout = timeout(value.as_bytes())
            .ok_or_else(|| Status::invalid_argument("`grpc-timeout` is malformed"))?;
        Ok(Self(Instant::now().checked_add(timeout)))
    }

    /// An error once it has passed.
    ///
    /// # Errors
    ///
    /// `DEADLINE_EXCEEDED`.
    pub fn check(self) -> Result<(), Status> {
        match self.0 {
            Some(end) if Instant::now() >= end => Err(passed()),
            _ => Ok(()),
        }
    }

    /// What `work` comes to, unless the deadline passes before.
    ///
    /// # Errors
    ///
    /// As `work`; `DEADLINE_EXCEEDED`.
    pub async fn within<T>(
        self,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        self.check()?;
        match self.left() {
            None => work.await,
            Some(left) => tokio::time::timeout(left, work)
                .await
                .unwrap_or_else(|_| Err(passed())),
        }
    }

    /// How long the caller still waits; None = for ever.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }
}

fn passed() -> Status {
    Status::deadline_exceeded("the caller's deadline has passed")
}

/// `1H`, `2M`, `3S`, `4m`, `5u`, `6n`, with at most eight digits.
fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The one message of a unary call.
///
/// # Errors
///
/// `RESOURCE_EXHAUSTED` where it is too large, `DEADLINE_EXCEEDED` where it does not come in time, `UNIMPLEMENTED` where
/// it is compressed, `INTERNAL` where the framing is broken.
pub async fn read<B>(body: B, limits: Limits, deadline: Deadline) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let left = deadline.left();
    let patience = left.map_or(limits.timeout, |left| left.min(limits.timeout));
    let most = limits.message_bytes.saturating_add(PREFIX);
    let bytes = body::read(body, most, patience)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge(_) => too_large(limits.message_bytes),
            BodyError::Timeout(_) if left.is_some_and(|left| left <= limits.timeout) => passed(),
            BodyError::Timeout(_) => {
                Status::deadline_exceeded("the message did not arrive in time")
            }
            BodyError::Broken => Status::cancelled("the call broke off"),
        })?;
    unframed(bytes, limits.message_bytes)
}

fn too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!("the message is larger than {limit} bytes"))
}

fn unframed(mut bytes: Bytes, limit: usize) -> Result<Bytes, Status> {
    let [compressed, a, b, c, d, ..] = *bytes else {
        return Err(Status::internal("the call holds no whole message"));
    };
    if compressed != 0 {
        let mut status = Status::unimplemented("compressed messages are not understood");
        status.metadata_mut().insert(
            "grpc-accept-encoding",
            tonic::metadata::MetadataValue::from_static("identity"),
        );
        return Err(status);
    }
    let announced = u32::from_be_bytes([a, b, c, d]) as usize;
    if announced > limit {
        return Err(too_large(limit));
    }
    let message = bytes.split_off(PREFIX);
    if message.len() == announced {
        Ok(message)
    } else {
        Err(Status::internal(
            "the message's length is not the one announced",
        ))
    }
}

/// Puts the prefix of a message into its first [`PREFIX`] bytes, which were left free.
pub fn frame(message: &mut [u8]) {
    let length = message.len().saturating_sub(PREFIX) as u32;
    if let Some(mut prefix) = message.get_mut(..PREFIX) {
        prefix.put_u8(0);
        prefix.put_u32(length);
    }
}

/// The answer of a call that went well: a framed message.
#[must_use]
pub fn answer(framed: Vec<u8>) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, OK);
    let mut response = Response::new(Body::Whole {
        message: Some(framed.into()),
        trailers: Some(Box::new(trailers)),
    });
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expected) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("3S", Some(Duration::from_secs(3))),
            ("200m", Some(Duration::from_millis(200))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("999999999S", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("1 S", None),
            ("1s", None),
            ("", None),
        ] {
            assert_eq!(timeout(text.as_bytes()), expected, "{text}");
        }
    }

    fn unframe(bytes: &'static [u8]) -> Result<Bytes, Code> {
        unframed(Bytes::from_static(bytes), 4).map_err(|status| status.code())
    }

    #[test]
    fn a_call_holds_exactly_one_plain_message() {
        assert_eq!(unframe(b"\0\0\0\0\x02ab").unwrap(), "ab");
        assert_eq!(unframe(b"\0\0\0\0\0").unwrap(), "");
        assert_eq!(unframe(b""), Err(Code::Internal));
        assert_eq!(unframe(b"\0\0\0\0"), Err(Code::Internal));
        assert_eq!(unframe(b"\0\0\0\0\x02a"), Err(Code::Internal));
        assert_eq!(unframe(b"\0\0\0\0\x02abc"), Err(Code::Internal));
        assert_eq!(unframe(b"\x01\0\0\0\x02ab"), Err(Code::Unimplemented));
        assert_eq!(unframe(b"\0\0\0\0\x05abcde"), Err(Code::ResourceExhausted));
        assert_eq!(unframe(b"\0\xff\xff\xff\xff"), Err(Code::ResourceExhausted));
    }

    #[test]
    fn what_is_framed_is_read_back() {
        let mut message = vec![0; PREFIX];
        message.extend_from_slice(b"abc");
        frame(&mut message);
        assert_eq!(unframed(message.into(), 4).unwrap(), "abc");
    }
}
