//! `envoy.service.auth.v3.Authorization`.

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;

use crate::server::grpc::{self, Body, Deadline, unimplemented};

use super::Handler;

pub(super) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers a call of the service.
pub(super) async fn answer(
    handler: &Handler,
    request: Request<Incoming>,
) -> Result<Response<Body>, Status> {
    if request.uri().path() != CHECK {
        return Ok(unimplemented(request.uri().path()));
    }
    let deadline = Deadline::of(request.headers())?;
    grpc::read(request.into_body(), handler.limits, deadline).await?;
    deadline.check()?;
    Err(Status::unavailable("no policy decides about HTTP requests"))
}
