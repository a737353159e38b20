//! What happens without a fetch: the keyring file changes, a snapshot ends, a kept bundle gets its next try.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::Timestamp;
use crate::server::FileState;
use crate::snapshot::Ended;

use super::offer::RETRY_INTERVAL;
use super::state::{Active, Again, Held};
use super::{Activator, Profile, SyncHandle};

const TICK: Duration = Duration::from_secs(1);

/// The one timer: watches the keyring file, and ends the active snapshot at its moment.
pub(super) async fn watch(sync: SyncHandle) {
    let activator = Arc::clone(&sync.activator);
    let mut seen = activator.keyring_file;
    let mut asked_again = Instant::now();
    loop {
        tokio::time::sleep(activator.until_next_end().min(TICK)).await;
        let state = activator.keyring_file();
        let changed = state != seen;
        // An untrusted bundle whose key is not valid yet becomes trusted without any change of the file.
        let again = activator.is_untrusted() && asked_again.elapsed() >= RETRY_INTERVAL;
        if changed || again {
            asked_again = Instant::now();
            seen = state;
            let reloading = Arc::clone(&activator);
            // A panic leaves the old keyring in force.
            let _ = tokio::task::spawn_blocking(move || reloading.reload_keyring()).await;
        }
        if changed {
            activator.boot_again().await;
            sync.wake();
        }
        activator.apply_end();
        activator.update_gauges();
    }
}

/// Gives kept bundles their next try, stores what could not be stored, forgets old rejections.
pub(super) async fn repair(sync: SyncHandle) {
    let activator = Arc::clone(&sync.activator);
    let mut persist_at = Instant::now() + RETRY_INTERVAL;
    loop {
        tokio::time::sleep(TICK).await;
        for (source, held) in activator.due() {
            activator.offer_again(source, held).await;
        }
        if Instant::now() >= persist_at {
            persist_at = Instant::now() + RETRY_INTERVAL;
            activator.persist_again().await;
        }
        if activator.forget_old_rejections() {
            sync.wake();
        }
    }
}

impl Activator {
    /// The keyring file as it is now; None also where the profile has none.
    fn keyring_file(&self) -> Option<FileState> {
        match &self.settings.profile {
            Profile::Lictor { keyring } => FileState::of(keyring),
            Profile::Opa { .. } => None,
        }
    }

    /// Ends the active snapshot, or lets it decide again, as of now.
    pub(super) fn apply_end(&self) {
        let now = self.clock.now();
        let state = self.lock();
        let Some(active) = &state.active else { return };
        let ended = active.ended(now);
        // Under the state's lock: a swap meanwhile would be ended for its predecessor's sake.
        self.publisher.set_ended(ended);
        let (revision, soon) = (active.snapshot.name.clone(), active.expires_soon(now));
        drop(state);
        self.status.update(|report| {
            let Some(bundle) = &mut report.bundle else {
                return;
            };
            let word = ended.map(ended_word);
            match word {
                _ if bundle.ended == word => {}
                Some(word) => tracing::error!(revision, "active bundle stopped deciding: {word}"),
                None => tracing::info!(revision, "active bundle decides again"),
            }
            if soon && !bundle.expires_soon {
                tracing::warn!(revision, "less than a quarter of the bundle's life is left");
            }
            bundle.ended = word;
            bundle.expires_soon = soon;
        });
    }

    pub(super) fn update_gauges(&self) {
        let now = self.clock.now();
        let age = self.status.bundle_age(now);
        self.metrics
            .bundle_age
            .set(age.and_then(|age| i64::try_from(age).ok()).unwrap_or(-1));
        let state = self.lock();
        let Some(active) = &state.active else { return };
        let left = active.expires_at.unix_seconds() - now.unix_seconds();
        self.metrics.bundle_expires.set(left);
        let number = i64::try_from(active.mark.number);
        self.metrics.bundle_number.set(number.unwrap_or(i64::MAX));
        self.metrics.persisted.set(i64::from(active.persisted));
        let policies = i64::try_from(active.snapshot.program.active_policies());
        self.metrics
            .active_policies
            .set(policies.unwrap_or(i64::MAX));
        let interpreted = i64::try_from(active.snapshot.program.rego().interpreted());
        self.metrics
            .interpreted_rules
            .set(interpreted.unwrap_or(i64::MAX));
    }

    /// How long until the active snapshot ends, or a second where that is further or unknown.
    fn until_next_end(&self) -> Duration {
        let state = self.lock();
        let end = state.active.as_ref().map(Active::end);
        let now = self.clock.now();
        end.map_or(TICK, |end| duration_until(end, now))
    }

    fn is_untrusted(&self) -> bool {
        let state = self.lock();
        let active = state.active.as_ref();
        active.is_some_and(|active| active.ended(self.clock.now()) == Some(Ended::Untrusted))
    }

    /// Without an active bundle, a new keyring may trust the cached one.
    async fn boot_again(self: &Arc<Self>) {
        let idle = self.lock().active.is_none();
        if idle {
            self.boot().await;
        }
    }

    /// Kept bundles whose time has come. They stay kept until their try has ended.
    pub(super) fn due(&self) -> Vec<(usize, Held)> {
        let now = self.clock.now();
        let state = self.lock();
        let held = state.sources.iter().enumerate();
        held.filter_map(|(index, source)| {
            let held = source.held.as_ref()?;
            let due = match held.again {
                Again::KeyringChanged => false,
                Again::At(moment) => now >= moment,
                Again::After(moment) => Instant::now() >= moment,
            };
            due.then(|| (index, held.clone()))
        })
        .collect()
    }

    /// Stores the active bundle where that failed before.
    pub(super) async fn persist_again(self: &Arc<Self>) {
        let active = self.lock().active.clone();
        let Some(active) = active.filter(|active| !active.persisted && self.cache.is_some()) else {
            return;
        };
        let _activating = self.activating.lock().await;
        let this = Arc::clone(self);
        // A panic leaves it unpersisted, and the next turn tries again.
        let _ = tokio::task::spawn_blocking(move || this.persist_active(&active)).await;
    }

    fn persist_active(&self, active: &Active) {
        let Some(cache) = &self.cache else { return };
        let stored = cache
            .prepare()
            .and_then(|()| cache.persist(&active.archive, &active.mark));
        let error = stored.err().map(|error| error.to_string());
        if let Some(error) = &error {
            tracing::warn!(error, "active bundle still not persisted");
        }
        let persisted = error.is_none();
        let mut state = self.lock();
        let same = state
            .active
            .as_mut()
            .filter(|now| now.digest == active.digest);
        if let Some(now) = same {
            now.persisted = persisted;
        }
        drop(state);
        self.status.update(|report| {
            report.cache.error = error;
            if let Some(bundle) = &mut report.bundle {
                bundle.persisted = persisted;
            }
        });
    }

    /// Whether there was one.
    pub(super) fn forget_old_rejections(&self) -> bool {
        let mut forgot = false;
        for (index, source) in self.lock().sources.iter_mut().enumerate() {
            let age = source
                .rejected
                .as_ref()
                .map(|rejected| rejected.since.elapsed());
            if age.is_some_and(|age| age >= self.settings.retry_rejected) {
                source.rejected = None;
                forgot = true;
                self.status
                    .update_source(self.name(index), |report| report.rejected = None);
            }
        }
        forgot
    }
}

const fn ended_word(ended: Ended) -> &'static str {
    match ended {
        Ended::Expired => "bundle_expired",
        Ended::Untrusted => "bundle_untrusted",
    }
}

/// At least a millisecond: the moment itself may still count.
fn duration_until(end: Timestamp, now: Timestamp) -> Duration {
    let nanos = (end.unix_nanos() - now.unix_nanos()).clamp(0, 1_000_000_000);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)) + Duration::from_millis(1)
}
