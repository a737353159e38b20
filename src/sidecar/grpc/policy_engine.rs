//! `policyengine.v1.PolicyEngineService`: decisions are made here, policies are the control plane's.

mod decide;
mod forward;
mod input;
mod status;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use prost_types::Timestamp;
use tonic::Status;

use crate::api::policy_engine;
pub(super) use crate::api::policy_engine::SERVICE;
use crate::decide::{Origin, Question};
use crate::engine::DuplicateMembers;
use crate::identity::Claims;
use crate::model;
use crate::server::Door;
use crate::server::grpc::{self, Body, Call, Deadline, Limits, Method, unimplemented};
use crate::sidecar::caller::Credentials;

use super::Handler;
use status::turned_away;

/// Bytes of a message, in both directions, as clients of the original expect.
pub(super) const MAX_MESSAGE_BYTES: usize = 10 * 1024 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 128;

/// What a method works with: its request read, checked and identified.
struct Asked<'h> {
    handler: &'h Handler,
    method: &'static str,
    headers: HeaderMap,
    message: Bytes,
    now: model::Timestamp,
    claims: Option<Arc<Claims>>,
    door: &'h Door,
}

impl Asked<'_> {
    fn question(&self) -> Question<'_> {
        Question {
            now: self.now,
            claims: self.claims.as_ref().map(|claims| claims.json.as_bytes()),
            principal: self.door.principal(),
            duplicates: DuplicateMembers::Refuse,
            explain: false,
            origin: Origin {
                door: "policy_engine",
                path: self.method,
                request_id: header(&self.headers, "x-request-id"),
                traceparent: header(&self.headers, "traceparent"),
                peer: self.door.peer,
                subject: match &self.claims {
                    Some(claims) => claims.subject.as_str(),
                    None => self.door.principal(),
                },
                ..Origin::UNKNOWN
            },
        }
    }
}

/// Answers a call of the service.
pub(super) async fn answer(
    handler: &Handler,
    request: Request<Incoming>,
    door: &Door,
) -> Response<Body> {
    let calls = &handler.shared.grpc.calls;
    let Some(name) = policy_engine::method(request.uri().path()) else {
        let refused = unimplemented(request.uri().path());
        return calls.start(Method::UNKNOWN).answer(refused);
    };
    let call = calls.start(Method::unary(SERVICE, name));
    let id = request_id(request.headers());
    let mut response = serve(handler, &call, name, request, door)
        .await
        .unwrap_or_else(Status::into_http);
    response.headers_mut().insert(REQUEST_ID, id);
    call.answer(response)
}

async fn serve(
    handler: &Handler,
    call: &Call,
    name: &'static str,
    request: Request<Incoming>,
    door: &Door,
) -> Result<Response<Body>, Status> {
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let deadline = Deadline::of(&head.headers)?;
    if name == "HealthCheck" {
        return decide::health(handler).map(grpc::Reply::into_response);
    }
    let credentials = Credentials::read(&head.headers).map_err(|error| turned_away(&error))?;
    handler
        .callers
        .check_tenant(credentials.tenant)
        .map_err(|error| turned_away(&error))?;
    let limits = Limits {
        message_bytes: MAX_MESSAGE_BYTES,
        ..handler.limits
    };
    let message = grpc::read(call.receive(body), limits, deadline).await?;
    if !matches!(
        name,
        "ValidateService" | "CheckAccess" | "ValidateConsumption"
    ) {
        return forward::forward(handler, path, head.headers, &message, deadline).await;
    }
    let now = handler.shared.clock.now();
    let claims = deadline
        .within(async {
            let identified = handler.callers.identify(credentials, now).await;
            identified.map_err(|error| turned_away(&error))
        })
        .await?;
    let asked = Asked {
        handler,
        method: name,
        message,
        now,
        claims,
        door,
        headers: head.headers.clone(),
    };
    handler.reach(&asked.headers, deadline).await?;
    deadline.check()?;
    let reply = match name {
        "ValidateService" => decide::validate(&asked)?,
        "CheckAccess" => decide::access(&asked)?,
        _ => decide::consumption(&asked)?,
    };
    Ok(reply.into_response())
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h [u8] {
    headers.get(name).map_or(b"", |value| value.as_bytes())
}

/// A moment as the wire has it.
fn timestamp(moment: model::Timestamp) -> Timestamp {
    let nanos = moment.unix_nanos();
    Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

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
