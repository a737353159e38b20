//! What OPA calls management: the configuration that holds now, how its parts fare, and what is told about that.
//!
//! Nothing here is on the way of a decision but for one read of the configuration in force.

mod document;
mod families;
mod gauges;
mod reporter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use prometheus::Registry;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::snapshot::Reader;

use super::config::opa::OpaConfig;
use super::config::{Config, OpaApiConfig};
use super::status::{Report, Status};

pub use reporter::{Reporter, Service as StatusService, Settings as ReporterSettings};

/// What holds now, where OPA's clients can see it.
#[derive(Debug)]
pub struct Live {
    pub settings: OpaApiConfig,
    /// The OPA configuration, discovered or not, where there is one.
    pub file: Option<Arc<OpaConfig>>,
    /// What `/v1/config` shows.
    pub active: Value,
    /// Whether answers carry the decision's id in their body.
    pub logs_decisions: bool,
}

impl Live {
    /// What a configuration means to OPA's clients.
    #[must_use]
    pub fn new(config: &Config, file: Option<Arc<OpaConfig>>) -> Self {
        let log = &config.decision_log;
        let logs = file.as_ref().is_some_and(|file| file.logs_decisions());
        Self {
            active: active(file.as_deref(), &config.opa),
            logs_decisions: logs || log.file.is_some() || log.upload.url.is_some(),
            settings: config.opa.clone(),
            file,
        }
    }
}

/// The OPA configuration without secrets, or what it would say of our own settings.
fn active(file: Option<&OpaConfig>, settings: &OpaApiConfig) -> Value {
    let mut active = file.map_or_else(
        || {
            let id = Uuid::new_v4().to_string();
            json!({"labels": {"version": env!("CARGO_PKG_VERSION"), "id": id}})
        },
        |file| file.active.clone(),
    );
    if let Value::Object(members) = &mut active {
        for (name, path) in [
            ("default_decision", &settings.default_decision),
            (
                "default_authorization_decision",
                &settings.default_authorization_decision,
            ),
        ] {
            members.insert(name.to_owned(), json!(path));
        }
    }
    active
}

/// The state of a part, in OPA's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ok,
    NotReady,
}

impl State {
    /// OPA's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::NotReady => "NOT_READY",
        }
    }

    const fn when(is_ok: bool) -> Self {
        if is_ok { Self::Ok } else { Self::NotReady }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Management {
    live: ArcSwap<Live>,
    status: Arc<Status>,
    reader: Reader,
    registry: Registry,
    /// All parts have been well once.
    was_ready: AtomicBool,
}

impl Management {
    /// Of a process that starts with this.
    #[must_use]
    pub fn new(live: Live, status: Arc<Status>, reader: Reader, registry: Registry) -> Self {
        Self {
            live: ArcSwap::from_pointee(live),
            status,
            reader,
            registry,
            was_ready: AtomicBool::new(false),
        }
    }

    /// What holds now.
    pub fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Another configuration holds from now on.
    pub fn set_live(&self, live: Live) {
        self.live.store(Arc::new(live));
        self.status.update(|_| {});
    }

    /// The process's metrics.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The parts that OPA calls plugins, by name. A bundle that no longer decides is as good as none.
    #[must_use]
    pub fn plugins(&self, report: &Report) -> Vec<(&'static str, State)> {
        let live = self.live();
        let file = live.file.as_deref();
        let mut plugins = Vec::with_capacity(4);
        if !report.sources.is_empty() {
            let current = self.reader.load();
            let decides = current.snapshot.is_some() && current.ended.is_none();
            // Mirrors of one bundle need not all have given it.
            let missing = |source: &super::status::SourceReport| {
                source.profile == "opa" && source.active.is_none()
            };
            let is_whole = !report.sources.iter().any(missing);
            plugins.push(("bundle", State::when(decides && is_whole)));
        }
        if file.is_some_and(|file| file.decision_logs.is_some()) {
            plugins.push(("decision_logs", State::Ok));
        }
        let discovery = report.discovery.as_ref();
        let is_known = discovery.is_none_or(|discovery| discovery.active.is_some());
        plugins.push(("discovery", State::when(is_known)));
        if file.is_some_and(|file| file.status.is_some()) {
            plugins.push(("status", State::Ok));
        }
        plugins
    }

    /// Whether these are all well, or were so once.
    pub fn were_ready(&self, plugins: &[(&'static str, State)]) -> bool {
        if plugins.iter().all(|(_, state)| *state == State::Ok) {
            self.was_ready.store(true, Ordering::Relaxed);
        }
        self.was_ready.load(Ordering::Relaxed)
    }
}
