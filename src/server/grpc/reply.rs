//! The answer to a unary call, and the message it came with.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tonic::Status;

use super::body::Body;

const PREFIX: usize = 5;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Reads a message; bytes that are none are the caller's fault, and gRPC's word for that is INTERNAL.
///
/// # Errors
///
/// `INTERNAL`.
pub fn decode<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message)
        .map_err(|error| Status::internal(format!("the request's message cannot be read: {error}")))
}

/// A message to be answered, with what goes before and behind it.
#[derive(Debug)]
pub struct Reply {
    /// With its prefix.
    message: Bytes,
    /// Initial metadata.
    pub headers: HeaderMap,
    /// Trailing metadata.
    pub trailers: HeaderMap,
}

impl Reply {
    /// Answers with a message of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED` for a larger one.
    pub fn new(message: &impl Message, limit: usize) -> Result<Self, Status> {
        let mut bytes = prefix(message.encoded_len(), limit)?;
        message
            .encode(&mut bytes)
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Self::of(bytes))
    }

    /// Answers with a message that is encoded already.
    ///
    /// # Errors
    ///
    /// As [`Reply::new`].
    pub fn of_encoded(message: &[u8], limit: usize) -> Result<Self, Status> {
        let mut bytes = prefix(message.len(), limit)?;
        bytes.put_slice(message);
        Ok(Self::of(bytes))
    }

    fn of(bytes: BytesMut) -> Self {
        Self {
            message: bytes.freeze(),
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
        }
    }

    /// The response, with status OK behind its message.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let Self {
            message,
            headers,
            mut trailers,
        } = self;
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        let mut response = Response::new(Body::Whole {
            message: Some(message),
            trailers: Some(Box::new(trailers)),
        });
        *response.headers_mut() = headers;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

/// The prefix of a message, with room for the message.
fn prefix(length: usize, limit: usize) -> Result<BytesMut, Status> {
    let Some(announced) = u32::try_from(length).ok().filter(|_| length <= limit) else {
        return Err(Status::resource_exhausted(format!(
            "the answer has {length} bytes, more than the {limit} of a message"
        )));
    };
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(announced);
    Ok(bytes)
}
