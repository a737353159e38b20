//! From a source's bytes to the active snapshot: when to fetch, the order of the steps, what is remembered of a
//! failure, and what ends a snapshot.
//!
//! The cached bundle at start-up and every fetched one go through the same function (`steps`). Nothing here is on
//! the way of a decision; a bundle that fails any step changes nothing.

mod error;
mod fetch;
mod generation;
mod keyring;
mod metrics;
mod offer;
mod state;
mod steps;
mod succeed;
mod thread;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::bundle::{Keyring, Limits as ArchiveLimits, OPA_WAIVED, OpaTrust};
use crate::engine::Limits as DecisionLimits;
use crate::model::TenantId;
use crate::server::FileState;
use crate::snapshot::Publisher;
use crate::wire::WireError;

use super::cache::Cache;
use super::clock::Clock;
use super::source::{self, Source};
use super::status::{CacheReport, Report, SourceReport, Status};

pub use error::ActivationError;
pub use keyring::ReadKeyringError;
pub use metrics::Metrics;

use fetch::SyncRequest;
use state::State;

/// What a `POST /v1/sync` waits for at most.
const SYNC_DEADLINE: Duration = Duration::from_mins(1);

/// What activation needs to know; plain data.
#[derive(Clone, Debug)]
pub struct Settings {
    pub tenant: TenantId,
    /// None = not compared.
    pub constitutional_hash: Option<String>,
    /// Seconds.
    pub clock_skew: i64,
    /// After this long a rejected bundle is asked for again.
    pub retry_rejected: Duration,
    pub profile: Profile,
    /// None = `cache.dir: none`: a restart starts without a bundle.
    pub cache_dir: Option<PathBuf>,
    /// `cache.on_error`.
    pub on_persist_error: OnPersistError,
    pub sources: Vec<source::Settings>,
    pub archive_limits: ArchiveLimits,
    /// What the bundle's own tests are bounded by.
    pub decision_limits: DecisionLimits,
}

/// How bundles are verified. All sources of a process have the same profile.
#[derive(Clone, Debug)]
pub enum Profile {
    /// Every step; the sources are mirrors of one tenant's bundle.
    Lictor {
        /// The keyring file.
        keyring: PathBuf,
    },
    /// OPA's own bundles, each source another one.
    Opa {
        /// In the order of the sources.
        trust: Arc<Vec<OpaTrust>>,
    },
}

/// What to do with a good bundle that cannot be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnPersistError {
    /// Let it decide, say so, and try again to store it.
    #[default]
    Activate,
    /// Keep the old one.
    Keep,
}

impl Profile {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Lictor { .. } => "lictor",
            Self::Opa { .. } => "opa",
        }
    }

    /// The steps that it does without.
    const fn waived(&self) -> &'static [u8] {
        match self {
            Self::Lictor { .. } => &[],
            Self::Opa { .. } => &OPA_WAIVED,
        }
    }
}

/// Why activation cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Keyring(#[from] ReadKeyringError),
    #[error("cannot prepare a source's client")]
    Client(#[from] WireError),
    #[error("cannot prepare metrics")]
    Metrics(#[source] prometheus::Error),
}

/// Takes bundles from bytes to decisions. One per process.
#[derive(Debug)]
pub struct Activator {
    settings: Settings,
    sources: Vec<Source>,
    publisher: Arc<Publisher>,
    cache: Option<Cache>,
    clock: Clock,
    status: Arc<Status>,
    metrics: Metrics,
    /// The keyring file as it was before it was read first.
    keyring_file: Option<FileState>,
    state: Mutex<State>,
    /// Held over one offer: two bundles never race for the swap.
    activating: tokio::sync::Mutex<()>,
}

/// The tasks of a running activation; dropping it ends them.
#[derive(Debug)]
pub struct Running {
    /// Asks for a fetch now.
    pub sync: SyncHandle,
    tasks: JoinSet<()>,
}

/// Makes every source fetch now.
#[derive(Clone, Debug)]
pub struct SyncHandle {
    activator: Arc<Activator>,
    sources: Vec<mpsc::Sender<SyncRequest>>,
}

/// What one source had, for the answer to `POST /v1/sync`.
#[derive(Clone, Debug, Serialize)]
pub struct Synced {
    pub source: String,
    pub result: SyncResult,
    /// What went wrong, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncResult {
    /// Its bundle decides now.
    Activated,
    /// It has nothing new.
    Unchanged,
    /// Its bundle failed a step.
    Refused,
    /// It gave no bundle.
    Failed,
    /// It did not end within the deadline; it goes on.
    Pending,
}

impl Activator {
    /// Reads the keyring and prepares the cache folder (which may fail: then nothing is persisted, and that is said).
    /// Connections and tasks live on `handle`'s runtime. Blocks.
    ///
    /// # Errors
    ///
    /// A keyring that cannot be used, for without one no bundle could ever be trusted; certificate authorities
    /// that cannot be used.
    pub fn new(
        settings: Settings,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        handle: &Handle,
    ) -> Result<Arc<Self>, StartError> {
        let sources = settings.sources.iter();
        let sources = sources.map(|source| Source::new(source, &settings.tenant, handle));
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        // Looked at before it is read: a change in between is seen by the watcher.
        let (keyring_file, keyring) = match &settings.profile {
            Profile::Lictor { keyring } => (FileState::of(keyring), keyring::read(keyring)?),
            Profile::Opa { .. } => (None, Keyring::empty()),
        };
        let cache = settings
            .cache_dir
            .clone()
            .map(|dir| Cache::new(dir, settings.tenant.clone(), settings.archive_limits));
        let mut report = report(&settings);
        if let Some(Err(error)) = cache.as_ref().map(Cache::prepare) {
            tracing::error!(%error, "cache folder unusable");
            report.cache.error = Some(error.to_string());
        }
        keyring::report(&mut report.keyring, &keyring, clock.now());
        let state = State::new(keyring, settings.sources.len());
        metrics.bundle_age.set(-1);
        Ok(Arc::new(Self {
            sources,
            publisher: Arc::new(publisher),
            cache,
            clock,
            status: Arc::new(Status::new(report)),
            metrics,
            keyring_file,
            state: Mutex::new(state),
            activating: tokio::sync::Mutex::new(()),
            settings,
        }))
    }

    /// What `/v1/status` shows.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Starts fetching and watching. Call after [`Activator::boot`].
    #[must_use]
    pub fn spawn(self: &Arc<Self>, handle: &Handle) -> Running {
        let mut tasks = JoinSet::new();
        let mut sources = Vec::new();
        for index in 0..self.sources.len() {
            let (sender, requests) = mpsc::channel(4);
            sources.push(sender);
            tasks.spawn_on(fetch::run(Arc::clone(self), index, requests), handle);
        }
        let sync = SyncHandle {
            activator: Arc::clone(self),
            sources,
        };
        tasks.spawn_on(watch::watch(sync.clone()), handle);
        tasks.spawn_on(watch::repair(sync.clone()), handle);
        Running { sync, tasks }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_failure_of_all(&self, error: &ActivationError) {
        let at = self.clock.now();
        for index in 0..self.sources.len() {
            self.show_failure(index, offer::failure(error, at));
        }
    }

    fn count_failure(&self, step: u8, code: &str) {
        let labels = [&step.to_string(), code];
        self.metrics.failures.with_label_values(&labels).inc();
    }
}

impl Running {
    /// Ends the tasks and waits until they are gone.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl SyncHandle {
    /// Forgets rejections and fetches from every source now.
    pub async fn sync(&self) -> Vec<Synced> {
        self.activator.forget_failures();
        let mut answers = Vec::new();
        for (source, sender) in self.activator.settings.sources.iter().zip(&self.sources) {
            let (reply, answer) = oneshot::channel();
            // Full: four are waiting already, and what this one asks for will happen.
            let _ = sender.try_send(SyncRequest { reply: Some(reply) });
            answers.push((source.name.clone(), answer));
        }
        let deadline = tokio::time::Instant::now() + SYNC_DEADLINE;
        let mut synced = Vec::new();
        for (source, answer) in answers {
            let answer = tokio::time::timeout_at(deadline, answer).await;
            let (result, detail) = match answer {
                Ok(Ok(ended)) => ended,
                Ok(Err(_)) | Err(_) => (SyncResult::Pending, String::new()),
            };
            synced.push(Synced {
                source,
                result,
                detail,
            });
        }
        synced
    }

    /// Makes every source fetch now, without waiting for it.
    fn wake(&self) {
        for sender in &self.sources {
            // Full: it will fetch anyway.
            let _ = sender.try_send(SyncRequest { reply: None });
        }
    }
}

/// The report before anything happened.
fn report(settings: &Settings) -> Report {
    let sources = settings.sources.iter().map(|source| SourceReport {
        name: source.name.clone(),
        kind: source.location.kind(),
        location: source.location.shown(),
        profile: settings.profile.as_str(),
        waived: settings.profile.waived().to_vec(),
        ..SourceReport::default()
    });
    let dir = settings.cache_dir.as_ref();
    let mut report = Report {
        tenant: settings.tenant.to_string(),
        cache: CacheReport {
            dir: dir.map(|dir| dir.display().to_string()),
            error: None,
        },
        sources: sources.collect(),
        ..Report::default()
    };
    if let Profile::Lictor { keyring } = &settings.profile {
        report.keyring.path = keyring.display().to_string();
    }
    report
}

#[cfg(test)]
mod tests;
