//! The policy engine's gRPC door: the same registry as the HTTP door's, by the same gate.
//!
//! Decisions are the sidecars'; here policies are kept.

mod convert;
mod list;
mod policies;
mod status;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tonic::{Code, Status};

use crate::api::policy_engine::{self, SERVICE};
use crate::control_plane::config::Limits;
use crate::control_plane::gate::Gate;
use crate::control_plane::registry::Registry;
use crate::server::grpc::{self, Body, Call, Calls, Deadline, Method, Reply, Services};
use crate::spans::{Side, Span, Spans};

const REQUEST_ID: &str = "x-request-id";
const LONGEST_REQUEST_ID: usize = 128;

/// What the calls work on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Parts>);

/// The parts of an [`Engine`].
#[derive(Debug)]
pub struct Parts {
    pub registry: Registry,
    pub gate: Arc<Gate>,
    pub limits: Limits,
    /// Policies on a page where the request names no size; 0 = all.
    pub default_page_size: u32,
    pub calls: Calls,
    pub services: Services,
    /// Where the calls' spans go; None = nowhere.
    pub spans: Option<Spans>,
}

impl std::ops::Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What a method works with.
struct Asked {
    headers: HeaderMap,
    method: &'static str,
    message: Bytes,
}

impl Engine {
    /// An engine of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Answers one call.
    pub async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        if let Some(refusal) = grpc::not_grpc(request.method(), request.headers()) {
            return refusal;
        }
        let path = request.uri().path();
        if grpc::service(path) != SERVICE {
            return match self.services.method(path) {
                Some(method) => {
                    let call = self.calls.start(method);
                    let request = request.map(|body| call.receive(body));
                    call.answer(self.services.answer(request).await)
                }
                None => self
                    .calls
                    .start(Method::UNKNOWN)
                    .answer(grpc::unimplemented(path)),
            };
        }
        let Some(name) = policy_engine::method(path) else {
            let call = self.calls.start(Method::UNKNOWN);
            return call.answer(grpc::unimplemented(path));
        };
        let call = self.calls.start(Method::unary(SERVICE, name));
        let id = request_id(request.headers());
        let span = self.spans.as_ref().and_then(|spans| {
            let caller = request.headers().get("traceparent");
            let begun = spans.begin(caller.map_or(b"", HeaderValue::as_bytes))?;
            Some((spans, begun, SystemTime::now()))
        });
        let result = self.call(&call, name, request).await;
        if let Some((spans, begun, started)) = span {
            let code = result.as_ref().err().map_or(Code::Ok, Status::code);
            spans.end(Span {
                begun,
                side: Side::Server,
                name: "request",
                started,
                ended: SystemTime::now(),
                attributes: vec![
                    ("rpc.system", "grpc".into()),
                    ("rpc.service", SERVICE.into()),
                    ("rpc.method", name.into()),
                    ("rpc.grpc.status_code", i64::from(i32::from(code)).into()),
                ],
                failed: is_ours(code),
            });
        }
        let mut response = match result {
            Ok(reply) => reply.into_response(),
            Err(status) => status.into_http(),
        };
        response.headers_mut().insert(REQUEST_ID, id);
        call.answer(response)
    }

    async fn call(
        &self,
        call: &Call,
        name: &'static str,
        request: Request<Incoming>,
    ) -> Result<Reply, Status> {
        let (head, body) = request.into_parts();
        let deadline = Deadline::of(&head.headers)?;
        let limits = grpc::Limits {
            message_bytes: MAX_MESSAGE_BYTES,
            timeout: self.limits.read_timeout,
        };
        let asked = Asked {
            message: grpc::read(call.receive(body), limits, deadline).await?,
            headers: head.headers,
            method: name,
        };
        deadline
            .within(async {
                match name {
                    "GetPolicy" => policies::get(self, &asked).await,
                    "ListPolicies" => policies::list(self, &asked).await,
                    "CreatePolicy" => policies::create(self, &asked).await,
                    "UpdatePolicy" => policies::update(self, &asked).await,
                    "DeletePolicy" => policies::delete(self, &asked).await,
                    "HealthCheck" => policies::health(self).await,
                    _ => Err(Status::unimplemented(
                        "decisions are the sidecar's: call this method on its gRPC listener",
                    )),
                }
            })
            .await
    }
}

/// Whether a call failed through no fault of its caller.
const fn is_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Bytes of a message, in both directions, as clients of the original expect.
pub const MAX_MESSAGE_BYTES: usize = 10 * 1024 * 1024;

/// The caller's id, where it is one; else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let kept = headers.get(REQUEST_ID).filter(|value| {
        (1..=LONGEST_REQUEST_ID).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    kept.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&uuid::Uuid::now_v7().to_string())
            .unwrap_or(HeaderValue::from_static("none"))
    })
}
