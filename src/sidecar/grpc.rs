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

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tonic::{Code, Status};

use crate::decide::Worker;
use crate::server::grpc::{
    Body, Deadline, Health, Limits, Method, not_grpc, service, unimplemented,
};
use crate::server::{Bound, Door, Draining, guard};
use crate::snapshot::Reader;

use super::caller::LocalCallers;
use super::revision::{self, RevisionError, Wanted};
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
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        door: Rc<Door>,
    ) -> Response<Body> {
        if let Some(refusal) = not_grpc(request.method(), request.headers()) {
            return refusal;
        }
        self.dispatch(request, &door).await
    }

    /// Whether the listener takes calls from this caller. Envoy names its clusters as it likes, so not asked of it.
    fn admit(&self, request: &Request<Incoming>, door: &Door) -> Result<(), Status> {
        let loopback = matches!(&door.bound, Bound::Tcp(address) if address.ip().is_loopback());
        let origins = &self.shared.allowed_origins;
        guard::check(request.headers(), request.uri(), loopback, origins)
            .map_err(|refusal| Status::permission_denied(refusal.to_string()))
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

    /// Services that are large, or seldom asked, are boxed: a call is as large as the largest of them.
    async fn dispatch(&self, request: Request<Incoming>, door: &Door) -> Response<Body> {
        let service = service(request.uri().path());
        if service == ext_authz::SERVICE {
            return ext_authz::answer(self, request, door)
                .await
                .unwrap_or_else(Status::into_http);
        }
        match self.admit(&request, door) {
            Err(refusal) => {
                let calls = &self.shared.grpc.calls;
                calls.start(Method::UNKNOWN).answer(refusal.into_http())
            }
            Ok(()) if service == policy_engine::SERVICE => {
                Box::pin(policy_engine::answer(self, request, door)).await
            }
            Ok(()) => Box::pin(self.common(request)).await,
        }
    }

    /// Waits for the revision that a call's metadata ask for.
    async fn reach(&self, headers: &HeaderMap, deadline: Deadline) -> Result<(), Status> {
        let wanted = Wanted::read(headers).map_err(|error| not_reached(&error))?;
        let Some(wanted) = wanted else {
            return Ok(());
        };
        deadline
            .within(async {
                let reached = Box::pin(revision::reach(&self.shared, wanted)).await;
                reached.map_err(|error| not_reached(&error))
            })
            .await
    }
}

/// A call that is not answered from the revision that it wants.
fn not_reached(error: &RevisionError) -> Status {
    let code = match error {
        RevisionError::Twice | RevisionError::Invalid => Code::InvalidArgument,
        RevisionError::Busy => Code::Unavailable,
        RevisionError::NotReached { .. } => Code::FailedPrecondition,
    };
    let mut status = Status::new(code, error.to_string());
    if let Some(active) = error.active().and_then(|name| name.parse().ok()) {
        status.metadata_mut().insert("x-lictor-revision", active);
    }
    status
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
