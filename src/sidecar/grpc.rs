//! The gRPC listener: one match on the path, then one module per service.
//!
//! Calls that must be quick are read and answered by hand; every other service is a tonic server, a `tower_service::Service`
//! over `http::Request<tonic::body::Body>`. Nothing here needs to be `Send`: a connection lives on one thread.

mod arenas;
mod ext_authz;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;

use crate::decide::Worker;
use crate::server::Door;
use crate::server::grpc::{Body, Limits, not_grpc, service, unimplemented};

use super::caller::LocalCallers;
use super::shared::Shared;

use arenas::Arenas;

/// Answers the calls of one thread.
#[derive(Debug)]
pub struct Handler {
    shared: Arc<Shared>,
    worker: Rc<RefCell<Worker>>,
    callers: LocalCallers,
    limits: Limits,
    arenas: Arenas,
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
            callers: shared.callers.local(),
            shared,
            worker,
            arenas: Arenas::default(),
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
