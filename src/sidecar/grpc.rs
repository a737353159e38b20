//! The gRPC listener: one match on the path, then one module per service.
//!
//! Calls that must be quick are read and answered by hand; every other service is a tonic server, a `tower_service::Service`
//! over `http::Request<tonic::body::Body>`. Nothing here needs to be `Send`: a connection lives on one thread.

mod arenas;
mod ext_authz;
mod policy_engine;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;

use crate::decide::Worker;
use crate::server::grpc::{Body, Health, Limits, Method, not_grpc, service, unimplemented};
use crate::server::{Door, Draining};
use crate::snapshot::Reader;

use super::caller::LocalCallers;
use super::shared::{self, Shared};

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

    /// Health and reflection, and what nobody here answers.
    async fn common(&self, request: Request<Incoming>) -> Response<Body> {
        let shared::Grpc {
            calls, services, ..
        } = &self.shared.grpc;
        match services.method(request.uri().path()) {
            Some(method) => {
                let call = calls.start(method);
                let request = request.map(|body| call.receive(body));
                call.answer(services.answer(request).await)
            }
            None => calls
                .start(Method::UNKNOWN)
                .answer(unimplemented(request.uri().path())),
        }
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Response<Body> {
        match service(request.uri().path()) {
            ext_authz::SERVICE => ext_authz::answer(self, request)
                .await
                .unwrap_or_else(Status::into_http),
            policy_engine::SERVICE => policy_engine::answer(self, request).await,
            _ => self.common(request).await,
        }
    }
}

/// How often it is looked whether decisions are made.
const HEALTH_INTERVAL: Duration = Duration::from_millis(100);

/// Tells whether decisions are made, until the drain begins.
pub async fn tell_health(mut health: Health, reader: Reader, mut draining: Draining) {
    loop {
        let current = reader.load();
        let decides = current.snapshot.is_some() && current.ended.is_none();
        drop(current);
        health.tell(decides).await;
        tokio::select! {
            () = draining.started() => break,
            () = tokio::time::sleep(HEALTH_INTERVAL) => {}
        }
    }
    health.end().await;
}
