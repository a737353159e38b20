//! Discovery: a bundle whose data is the configuration. It is fetched, verified and kept as any other; what it says
//! under the file that the process was started with becomes what sources, decision log and status are told, at run
//! time. What is wrong with it changes nothing and is told in the status.

mod plane;

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::decide::{Kind, Observer, Origin, Outcome, Question, Worker};
use crate::engine::rego::write_rego_json;
use crate::engine::{DuplicateMembers, Limits, RegoInput, RegoSegment, RegoValue};
use crate::server::telemetry::with_causes;
use crate::snapshot::{self, Reader};

use super::activation::{self, Activator, Running, StartError};
use super::clock::Clock;
use super::config::opa::OpaConfig;
use super::config::{self, Loaded};
use super::status::{ActiveReport, Failure, SourceReport, Status};

pub(super) use plane::Plane;

/// After a failure that may pass.
const RETRY: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Discovery {
    activator: Arc<Activator>,
    reader: Reader,
    /// Below `data`.
    path: Vec<String>,
    limits: Limits,
    clock: Clock,
    /// What the process was started with.
    boot: Loaded,
    boot_opa: Arc<OpaConfig>,
    /// Of the process.
    status: Arc<Status>,
    /// What became of the last document.
    outcome: Outcomes,
}

#[derive(Default)]
struct Outcomes {
    /// The generation that it was made of.
    generation: u64,
    active: Option<ActiveReport>,
    error: Option<Failure>,
    note: Option<String>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Discovery")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Discovery {
    /// Prepares fetching; `settings` are those of the one bundle.
    pub(super) fn new(
        settings: activation::Settings,
        boot: &Loaded,
        boot_opa: &Arc<OpaConfig>,
        status: Arc<Status>,
        clock: Clock,
        handle: &Handle,
    ) -> Result<Self, StartError> {
        let (publisher, reader) = snapshot::channel();
        // Its own metrics are nobody's: the status says how it fares.
        let metrics =
            activation::Metrics::register(&Registry::new()).map_err(StartError::Metrics)?;
        let limits = settings.decision_limits;
        let activator = Activator::new(settings, publisher, clock.clone(), metrics, handle)?;
        let path = boot_opa.discovery.as_ref();
        let mut discovery = Self {
            activator,
            reader,
            path: path.map(config::opa::Discovery::path).unwrap_or_default(),
            limits,
            clock,
            boot: boot.clone(),
            boot_opa: Arc::clone(boot_opa),
            status,
            outcome: Outcomes::default(),
        };
        discovery.show();
        Ok(discovery)
    }

    /// Lets what was kept hold; call before the network is touched.
    pub(super) async fn boot(&mut self, plane: &mut Plane) {
        self.activator.boot().await;
        self.turn(plane).await;
    }

    /// Starts fetching.
    pub(super) fn spawn(&self) -> Running {
        self.activator.spawn(&Handle::current())
    }

    /// Lets every new document hold until told to stop; gives the plane back.
    pub(super) async fn run(mut self, mut plane: Plane, mut stop: watch::Receiver<bool>) -> Plane {
        let mut changes = self.activator.status().changes();
        loop {
            changes.mark_unchanged();
            self.turn(&mut plane).await;
            let again = tokio::time::sleep(RETRY);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return plane,
                _ = changes.changed() => {}
                // The document is the same; what kept it from holding may have passed.
                () = again, if self.outcome.error.is_some() => self.outcome.generation = 0,
            }
        }
    }

    /// Lets the document hold that there is now, where it is another.
    async fn turn(&mut self, plane: &mut Plane) {
        let current = self.reader.load();
        let snapshot = current.snapshot.as_ref();
        if let Some(snapshot) = snapshot
            && snapshot.number != self.outcome.generation
        {
            self.outcome.generation = snapshot.number;
            let held = self.hold(plane).await;
            match held {
                Ok(overridden) => {
                    self.outcome.note = (!overridden.is_empty()).then(|| {
                        format!(
                            "Keys in the discovered configuration overridden by boot configuration: {}",
                            overridden.join(", ")
                        )
                    });
                    self.outcome.error = None;
                    tracing::info!(
                        revision = snapshot.name,
                        "discovered configuration in force"
                    );
                }
                Err(detail) => {
                    tracing::error!(
                        revision = snapshot.name,
                        "the discovered configuration is not used: {detail}"
                    );
                    self.outcome.error = Some(Failure {
                        step: 0,
                        code: "configuration",
                        detail,
                        revision: Some(snapshot.name.clone()),
                        http_status: None,
                        at: self.clock.now().to_string(),
                    });
                }
            }
        }
        self.show();
    }

    /// The keys of the document that the file overrides.
    async fn hold(&self, plane: &mut Plane) -> Result<Vec<String>, String> {
        let (reader, limits) = (self.reader.clone(), self.limits);
        let (path, now) = (self.path.clone(), self.clock.now());
        let evaluated =
            tokio::task::spawn_blocking(move || evaluate(&reader, limits, &path, now)).await;
        let document = evaluated.map_err(|error| error.to_string())??;
        let variable = |name: &str| self.boot.variable(name);
        let discovered = self.boot_opa.discovered(&document, variable)?;
        for warning in &discovered.config.warnings {
            tracing::warn!("discovered configuration: {warning}");
        }
        let loaded = self.boot.with_opa(discovered.config);
        let loaded = loaded.map_err(|error| error.to_string())?;
        plane
            .adopt(loaded)
            .await
            .map_err(|error| with_causes(&error))?;
        Ok(discovered.overridden)
    }

    fn source(&self) -> SourceReport {
        let report = self.activator.status().report(self.clock.now());
        report.sources.into_iter().next().unwrap_or_default()
    }

    /// Shows how the bundle fares: what it gave is in force only once it holds.
    fn show(&mut self) {
        let mut shown = self.source();
        let current = self.reader.load();
        let number = current.snapshot.as_ref().map(|snapshot| snapshot.number);
        // A generation is published before its source says so: then the next change shows it.
        if number == Some(self.outcome.generation) && self.outcome.error.is_none() {
            self.outcome.active.clone_from(&shown.active);
        }
        shown.active.clone_from(&self.outcome.active);
        shown.note.clone_from(&self.outcome.note);
        if shown.last_error.is_none() {
            shown.last_error.clone_from(&self.outcome.error);
        }
        self.status.update(|report| report.discovery = Some(shown));
    }
}

/// The document, as JSON.
fn evaluate(
    reader: &Reader,
    limits: Limits,
    path: &[String],
    now: crate::model::Timestamp,
) -> Result<Value, String> {
    let mut worker = Worker::new(reader, limits, Arc::new(Unobserved));
    let segments: Vec<RegoSegment<'_>> = path.iter().map(|step| RegoSegment::Name(step)).collect();
    let question = Question {
        now,
        claims: None,
        principal: "",
        duplicates: DuplicateMembers::LastWins,
        explain: false,
        origin: Origin::UNKNOWN,
    };
    let answer = worker.rego(&segments, &RegoInput::default(), &question, |_, answer| {
        answer.value.clone()
    });
    let Some(mut value) = answer.map_err(|error| with_causes(&error))? else {
        return Err("undefined configuration".to_owned());
    };
    if path.is_empty()
        && let RegoValue::Object(object) = &mut value
    {
        // The manifest, which the loader keeps there.
        Arc::make_mut(object).remove(&RegoValue::from("system"));
    }
    let mut text = Vec::new();
    if !write_rego_json(&value, limits.rego_result_bytes, &mut text) {
        return Err(format!(
            "the configuration is larger than {} bytes",
            limits.rego_result_bytes
        ));
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// Reading a configuration is no decision.
#[derive(Debug)]
struct Unobserved;

impl Observer for Unobserved {
    fn decided(&self, _: Kind, _: Outcome, _: u64) {}

    fn panicked(&self, _: Kind, message: &str) {
        tracing::error!(message, "evaluating the discovery bundle panicked");
    }
}
