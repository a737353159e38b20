//! What becomes of an offer: memory of failures, status, metrics, one log line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::bundle::{Code, Digest};
use crate::model::Timestamp;
use crate::server::telemetry::with_causes;
use crate::sidecar::source::{FetchError, Received};
use crate::sidecar::status::{ActiveReport, BundleReport, Failure, LastKnownGood};
use crate::snapshot::Ended;

use super::error::{ActivationError, Fate};
use super::fetch::nanos;
use super::state::{Active, Again, Held, Rejected, printed};
use super::steps::{Accepted, Offer, Origin};
use super::{Activator, SyncResult, thread};

/// How long a bundle that failed for no fault of its own waits for its next try.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// How often the cached bundle is read again at start-up when another process replaces it meanwhile.
const BOOT_ATTEMPTS: usize = 3;

impl Activator {
    /// Lets the cached last known good through the steps. Call before the network is touched.
    pub async fn boot(self: &Arc<Self>) {
        let _activating = self.activating.lock().await;
        let this = Arc::clone(self);
        let booted = tokio::task::spawn_blocking(move || this.boot_from_cache()).await;
        if booted.is_err() {
            tracing::error!("reading the cached bundle panicked");
        }
    }

    fn boot_from_cache(&self) {
        if self.has_parts() {
            return self.boot_parts();
        }
        let Some(cache) = &self.cache else { return };
        for _ in 0..BOOT_ATTEMPTS {
            if let crate::sidecar::cache::MarkFile::Unreadable(detail) = cache.mark() {
                tracing::error!(
                    detail,
                    "the mark is unreadable, the cached bundle is not believed"
                );
                self.status.update(|report| {
                    report.cache.error = Some(format!("unreadable mark: {detail}"));
                });
                return;
            }
            let archive = match cache.archive() {
                Ok(Some(archive)) => Arc::new(archive),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "the cached bundle cannot be read");
                    self.status
                        .update(|report| report.cache.error = Some(error.to_string()));
                    return;
                }
            };
            let offer = Offer {
                origin: Origin::Cache,
                archive,
                announced: None,
            };
            match self.activate(&offer) {
                Ok(_) => return,
                Err(error) if error.fate == Fate::Refetch => {}
                Err(error) => return self.refuse_cached(&error),
            }
        }
    }

    pub(super) fn refuse_cached(&self, error: &ActivationError) {
        tracing::warn!(
            step = error.step.number(),
            code = error.code.as_str(),
            revision = error.revision,
            "cached bundle refused: {}",
            error.detail
        );
        self.count_failure(error.step.number(), error.code.as_str());
        let failure = failure(error, self.clock.now());
        self.status
            .update(|report| report.boot_error = Some(failure));
        if let (Code::Expired, Some(claims)) = (error.code, &error.claims) {
            self.lock().floor = claims.number;
            self.publisher.set_ended(Some(Ended::Expired));
            let known = LastKnownGood {
                revision: claims.revision.to_string(),
                number: claims.number,
                expires_at: claims.expires_at.to_string(),
            };
            self.status
                .update(|report| report.expired_last_known_good = Some(known));
        }
    }

    /// Takes what a source gave through the steps, and remembers how that went.
    pub(super) async fn offer(
        self: &Arc<Self>,
        source: usize,
        received: Received,
    ) -> (SyncResult, String) {
        let archive = Arc::new(received.archive);
        let held = Held {
            digest: Sha256::digest(archive.bytes()).into(),
            archive,
            announced: received.announced,
            tag: received.tag,
            again: Again::KeyringChanged,
        };
        self.offer_again(source, held).await
    }

    /// The same for a bundle that was kept.
    pub(super) async fn offer_again(
        self: &Arc<Self>,
        source: usize,
        held: Held,
    ) -> (SyncResult, String) {
        let activating = self.activating.lock().await;
        let offer = Offer {
            origin: Origin::Source(source),
            archive: Arc::clone(&held.archive),
            announced: held.announced,
        };
        let this = Arc::clone(self);
        let started = Instant::now();
        let ended = thread::apart(move || this.activate(&offer)).await;
        drop(activating);
        let took = nanos(started.elapsed());
        self.status
            .update_source(self.name(source), |report| report.load_ns = took);
        match ended {
            Ok(Ok(accepted)) => self.accepted(source, &held, accepted),
            Ok(Err(error)) => self.refused(source, held, &error),
            Err(_) => {
                let text = "the activation panicked".to_owned();
                tracing::error!(source = self.name(source), "{text}");
                self.reject(source, Some(held.digest), held.tag);
                (SyncResult::Failed, text)
            }
        }
    }

    fn accepted(&self, source: usize, held: &Held, accepted: Accepted) -> (SyncResult, String) {
        let mut state = self.lock();
        if let Some(state) = state.sources.get_mut(source) {
            state.tag = held.tag.clone().map(|tag| (held.digest, tag));
            state.rejected = None;
            state.held = None;
        }
        drop(state);
        self.confirm(source);
        self.status.update_source(self.name(source), |report| {
            report.last_error = None;
            report.rejected = None;
        });
        match accepted {
            Accepted::Activated => (SyncResult::Activated, String::new()),
            Accepted::Confirmed => (SyncResult::Unchanged, String::new()),
            Accepted::Waiting => (
                SyncResult::Unchanged,
                "kept until every source has given a bundle".to_owned(),
            ),
        }
    }

    fn refused(&self, source: usize, held: Held, error: &ActivationError) -> (SyncResult, String) {
        tracing::warn!(
            source = self.name(source),
            step = error.step.number(),
            code = error.code.as_str(),
            revision = error.revision,
            digest = printed(&held.digest),
            "bundle refused: {}",
            error.detail
        );
        self.show_failure(source, failure(error, self.clock.now()));
        let again = match error.fate {
            Fate::Rejected => {
                self.reject(source, Some(held.digest), held.tag);
                return (SyncResult::Refused, error.to_string());
            }
            Fate::Refetch => None,
            Fate::UnlessKeyring => Some(Again::KeyringChanged),
            Fate::NotBefore(moment) => Some(Again::At(moment)),
            Fate::Later => Some(Again::After(Instant::now() + RETRY_INTERVAL)),
        };
        if let Some(state) = self.lock().sources.get_mut(source) {
            state.held = again.map(|again| Held { again, ..held });
        }
        (SyncResult::Refused, error.to_string())
    }

    /// Notes a fetch that gave no archive.
    pub(super) fn fetch_failed(&self, source: usize, error: FetchError) -> (SyncResult, String) {
        if let FetchError::TooLarge {
            limit,
            announced,
            tag,
        } = error
        {
            let refused = ActivationError::too_large(limit);
            tracing::warn!(source = self.name(source), "bundle refused: {refused}");
            self.show_failure(source, failure(&refused, self.clock.now()));
            self.reject(source, announced, tag);
            return (SyncResult::Refused, refused.to_string());
        }
        let detail = with_causes(&error);
        tracing::warn!(
            source = self.name(source),
            code = error.code(),
            "fetch failed: {detail}"
        );
        self.show_failure(
            source,
            Failure {
                step: 0,
                code: error.code(),
                detail: detail.clone(),
                revision: None,
                http_status: error.status(),
                at: self.clock.now().to_string(),
            },
        );
        (SyncResult::Failed, detail)
    }

    /// The source has nothing but the active bundle.
    pub(super) fn confirm(&self, source: usize) {
        let now = self.clock.now();
        let mut state = self.lock();
        let part = state.parts.get_mut(source).and_then(Option::as_mut);
        let is_part = part.map(|part| part.confirmed = now).is_some();
        drop(state);
        if is_part {
            self.confirm_generation();
        } else {
            self.status.confirm(now);
        }
        self.answered(source);
        // A bundle goes well, be it the one that decides already.
        self.status
            .update_source(self.name(source), |report| report.last_error = None);
    }

    /// The source answered, be it with nothing new.
    pub(super) fn answered(&self, source: usize) {
        let now = self.clock.now().to_string();
        self.status.update_source(self.name(source), |report| {
            report.last_success = Some(now);
            // What went wrong with a bundle stays until a bundle goes well; a fetch went well just now.
            if report
                .last_error
                .as_ref()
                .is_some_and(|error| error.step == 0)
            {
                report.last_error = None;
            }
        });
    }

    /// Rejected and kept bundles are asked for again.
    pub(super) fn forget_failures(&self) {
        for source in &mut self.lock().sources {
            source.rejected = None;
            source.held = None;
        }
        self.status.update(|report| {
            for source in &mut report.sources {
                source.rejected = None;
            }
        });
    }

    fn reject(&self, source: usize, digest: Option<Digest>, tag: Option<String>) {
        if let Some(state) = self.lock().sources.get_mut(source) {
            state.held = None;
            state.rejected = Some(Rejected {
                digest,
                tag,
                since: Instant::now(),
            });
        }
        self.status.update_source(self.name(source), |report| {
            report.rejected = digest.as_ref().map(printed);
        });
    }

    pub(super) fn show_failure(&self, source: usize, failure: Failure) {
        self.count_failure(failure.step, failure.code);
        self.status.update_source(self.name(source), |report| {
            report.last_error = Some(failure);
        });
    }

    /// Shows a swap.
    pub(super) fn report_activation(&self, origin: Origin, active: &Active) {
        let now = self.clock.now();
        let source = self.origin_name(origin);
        let report = bundle_report(source, active, now);
        tracing::info!(
            source,
            revision = report.revision,
            persisted = report.persisted,
            policies = report.active_policies,
            "bundle activated"
        );
        self.metrics.activations.inc();
        self.status.confirm(match origin {
            Origin::Cache => active.issued_at,
            Origin::Source(_) => now,
        });
        let shown = ActiveReport {
            revision: report.revision.clone(),
            digest: report.digest.clone(),
            bytes: active.archive.bytes().len() as u64,
            is_delta: false,
            activated_at: report.activated_at.clone(),
        };
        self.status.update(|status| {
            for found in &mut status.sources {
                // What was kept may have come from any of the mirrors.
                if origin == Origin::Cache || found.name == report.source {
                    found.active = Some(shown.clone());
                }
            }
            status.bundle = Some(report);
            status.expired_last_known_good = None;
        });
        self.update_gauges();
    }

    pub(super) fn name(&self, source: usize) -> &str {
        let found = self.settings.sources.get(source);
        found.map_or("", |found| &found.name)
    }

    pub(super) fn origin_name(&self, origin: Origin) -> &str {
        match origin {
            Origin::Cache => "cache",
            Origin::Source(index) => self.name(index),
        }
    }
}

fn bundle_report(source: &str, active: &Active, now: Timestamp) -> BundleReport {
    let program = &active.snapshot.program;
    BundleReport {
        revision: active.snapshot.name.clone(),
        number: active.mark.number,
        digest: printed(&active.digest),
        source: source.to_owned(),
        issued_at: active.issued_at.to_string(),
        expires_at: active.expires_at.to_string(),
        kids: active
            .signers
            .iter()
            .map(|signer| signer.kid.clone())
            .collect(),
        active_policies: program.active_policies(),
        activated_at: now.to_string(),
        age_seconds: 0,
        persisted: active.persisted,
        expires_soon: active.expires_soon(now),
        ended: None,
        bundles: Vec::new(),
    }
}

pub(super) fn failure(error: &ActivationError, now: Timestamp) -> Failure {
    Failure {
        step: error.step.number(),
        code: error.code.as_str(),
        detail: error.detail.clone(),
        revision: error.revision.clone(),
        http_status: None,
        at: now.to_string(),
    }
}
