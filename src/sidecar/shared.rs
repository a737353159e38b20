//! What the serving threads share, whatever their doors: read-only or atomic, all of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::decide::{Observer, Worker};
use crate::decision_log::Log;
use crate::server::Draining;
use crate::server::grpc::{Calls, Services};
use crate::snapshot::Reader;
use crate::spans::Spans;

use super::caller::Callers;
use super::clock::Clock;
use super::config::{LimitsConfig, WhenNoPolicy};
use super::ext_authz;
use super::forward::Forwarder;
use super::metrics::Metrics;
use super::spans::DecisionSpans;
use super::status::Status;

/// What all serving threads share.
#[derive(Debug)]
pub struct Shared {
    pub callers: Arc<Callers>,
    pub reader: Reader,
    pub status: Arc<Status>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// None where no upstream is configured.
    pub forwarder: Option<Forwarder>,
    pub grpc: Grpc,
    pub waiters: Semaphore,
    pub draining: Draining,
    pub limits: LimitsConfig,
    pub allowed_origins: Vec<String>,
    pub when_no_policy: WhenNoPolicy,
    pub fail_open_access: bool,
    pub ext_authz: ext_authz::Settings,
    /// The https URL of AuthZEN's metadata, where it is configured, without a slash at its end.
    pub decision_point: Option<String>,
    /// Where decisions' spans go; None = nowhere.
    pub spans: Option<Spans>,
    /// None where decisions are not recorded.
    pub decision_log: Option<Log>,
}

/// What the gRPC listeners have beside that.
#[derive(Debug)]
pub struct Grpc {
    pub calls: Calls,
    pub services: Services,
    /// Where policies are kept; None where no upstream for gRPC is configured.
    pub upstream: Option<Forwarder>,
}

impl Shared {
    /// Whether decisions are recorded now.
    pub fn logs(&self) -> bool {
        self.decision_log.as_ref().is_some_and(Log::is_on)
    }

    /// A worker for the current thread, for all of its doors.
    #[must_use]
    pub fn worker(&self) -> Rc<RefCell<Worker>> {
        let limits = self.limits.decision();
        let observer: Arc<dyn Observer> = Arc::clone(&self.metrics) as Arc<dyn Observer>;
        let mut worker = Worker::new(&self.reader, limits, observer);
        if let Some(spans) = &self.spans {
            worker = worker.traced(Arc::new(DecisionSpans(spans.clone())));
        }
        Rc::new(RefCell::new(match &self.decision_log {
            Some(log) => worker.recorded(log),
            None => worker,
        }))
    }
}

/// Lets go of retired snapshots and hands records over while there are no requests. Never returns.
pub async fn release_retired(worker: Rc<RefCell<Worker>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        worker.borrow_mut().release_retired();
    }
}
