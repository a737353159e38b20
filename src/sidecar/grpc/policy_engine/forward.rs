//! Policies: asked of the control plane, and its answer handed on.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Response};
use tonic::{Code, Status};

use crate::server::grpc::{Body, Deadline};
use crate::sidecar::forward::Call;
use crate::wire::Answer;

use super::status::not_forwarded;
use super::{Handler, MAX_MESSAGE_BYTES};

const PREFIX: usize = 5;

/// Sends the call up and answers what comes back.
pub(super) async fn forward(
    handler: &Handler,
    path: String,
    headers: HeaderMap,
    message: &Bytes,
    deadline: Deadline,
) -> Result<Response<Body>, Status> {
    let Some(upstream) = &handler.shared.grpc.upstream else {
        return Err(Status::unavailable(
            "this sidecar has no upstream that keeps policies: set `upstream.grpc_url`",
        ));
    };
    let call = Call {
        path,
        headers,
        message: framed(message),
        left: deadline.left(),
        limit: MAX_MESSAGE_BYTES + PREFIX,
    };
    let answer = upstream.call(call).await;
    answered(answer.map_err(|error| not_forwarded(&error))?)
}

fn framed(message: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// What came back, message and trailers as they are; what is no answer of gRPC becomes one.
fn answered(answer: Answer) -> Result<Response<Body>, Status> {
    let Answer {
        mut head,
        body,
        trailers,
    } = answer;
    let is_grpc = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc || !head.status.is_success() {
        let text = format!(
            "the control plane answered {} in another protocol than gRPC",
            head.status
        );
        return Err(Status::new(from_http(head.status.as_u16()), text));
    }
    head.headers.remove(CONTENT_LENGTH);
    let body = match trailers {
        Some(trailers) => Body::Whole {
            message: Some(body).filter(|body| !body.is_empty()),
            trailers: Some(Box::new(trailers)),
        },
        None if head.headers.contains_key("grpc-status") => Body::Empty,
        None => {
            return Err(Status::unavailable(
                "the control plane's answer broke off before its status",
            ));
        }
    };
    Ok(Response::from_parts(head, body))
}

/// As the mapping of HTTP statuses in gRPC's documentation has it.
const fn from_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}
