//! The gRPC listener: one match on the path, then one module per service.
//!
//! Calls that must be quick are read and answered by hand; every other service is a tonic server, a `tower_service::Service`
//! over `http::Request<tonic::body::Body>`. Nothing here needs to be `Send`: a connection lives on one thread.

mod body;
mod ext_authz;
mod message;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tonic::Status;

use crate::decide::Worker;
use crate::server::Door;

use super::shared::Shared;

use body::Body;
use message::Limits;

/// Answers the calls of one thread.
#[derive(Debug)]
pub struct Handler {
    #[expect(dead_code, reason = "the first service that decides reads it")]
    shared: Arc<Shared>,
    #[expect(dead_code, reason = "the first service that decides reads it")]
    worker: Rc<RefCell<Worker>>,
    limits: Limits,
}

impl Handler {
    /// A handler for the current thread, whose doors share one worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, worker: Rc<RefCell<Worker>>, max_message_bytes: usize) -> Self {
        Self {
            limits: Limits {
                message_bytes: max_message_bytes,
                timeout: shared.limits.body_timeout,
            },
            shared,
            worker,
        }
    }

    /// Answers one call.
    pub async fn handle(self: Rc<Self>, request: Request<Incoming>, _: Rc<Door>) -> Response<Body> {
        if let Some(refusal) = not_grpc(request.method(), request.headers()) {
            return refusal;
        }
        self.dispatch(request).await
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Response<Body> {
        match service(request.uri().path()) {
            ext_authz::SERVICE => ext_authz::answer(self, request)
                .await
                .unwrap_or_else(Status::into_http),
            _ => unimplemented(request.uri().path()),
        }
    }
}

/// The service of `/package.Service/Method`.
fn service(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(service, _)| service)
}

fn unimplemented(path: &str) -> Response<Body> {
    Status::unimplemented(format!("this sidecar has no method `{path}`")).into_http()
}

/// The answer to a request that is no gRPC call.
fn not_grpc(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    let refuse = |status| {
        let mut response = Response::new(Body::default());
        *response.status_mut() = status;
        Some(response)
    };
    if method != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&[][..], |value| value.as_bytes());
    match content_type.strip_prefix(b"application/grpc") {
        Some([] | [b'+' | b';', ..]) => None,
        _ => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_posts_of_grpc_are_calls() {
        let status = |method: Method, content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            not_grpc(&method, &headers).map(|response| response.status().as_u16())
        };
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x=y",
        ] {
            assert_eq!(status(Method::POST, content_type), None, "{content_type}");
        }
        for content_type in ["application/json", "application/grpcx", ""] {
            assert_eq!(
                status(Method::POST, content_type),
                Some(415),
                "{content_type}"
            );
        }
        assert_eq!(status(Method::GET, "application/grpc"), Some(405));
    }

    #[test]
    fn a_path_names_its_service() {
        assert_eq!(service("/a.B/C"), "a.B");
        assert_eq!(service("/a.B"), "a.B");
        assert_eq!(service(""), "");
    }
}
