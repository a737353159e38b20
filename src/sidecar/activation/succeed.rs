//! Other sources at run time: a successor takes over what is known of those that stay, and decides with what there is
//! until the new ones have given theirs.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::bundle::Keyring;
use crate::sidecar::cache::Cache;
use crate::sidecar::source::Source;

use super::generation::Part;
use super::state::State;
use super::steps::Origin;
use super::{Activator, Running, Settings, StartError, report};

impl Activator {
    /// An activator of these sources of profile `opa`, which publishes where this one did. Sources that `stay` keep
    /// what they gave. Call [`Activator::retire`] before, [`Activator::resume`] after it.
    ///
    /// # Errors
    ///
    /// [`StartError`]; then nothing has changed.
    pub fn succeed(
        &self,
        settings: Settings,
        stay: impl Fn(&str) -> bool,
        handle: &Handle,
    ) -> Result<Arc<Self>, StartError> {
        let sources = settings.sources.iter();
        let sources = sources.map(|source| Source::new(source, &settings.tenant, handle));
        let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
        let cache = settings
            .cache_dir
            .clone()
            .map(|dir| Cache::new(dir, settings.tenant.clone(), settings.archive_limits));
        let mut next = report(&settings);
        if let Some(Err(error)) = cache.as_ref().map(Cache::prepare) {
            tracing::error!(%error, "cache folder unusable");
            next.cache.error = Some(error.to_string());
        }
        let mut state = State::new(Keyring::empty(), settings.sources.len());
        let old = self.lock();
        state.generation = old.generation;
        for (index, source) in settings.sources.iter().enumerate() {
            let mut before = self.settings.sources.iter();
            let before = before.position(|before| before.name == source.name);
            let Some(before) = before.filter(|_| stay(&source.name)) else {
                continue;
            };
            if let Some(place) = state.parts.get_mut(index) {
                *place = old.parts.get(before).cloned().flatten();
            }
            if let (Some(place), Some(known)) =
                (state.sources.get_mut(index), old.sources.get(before))
            {
                place.tag.clone_from(&known.tag);
                place.rejected.clone_from(&known.rejected);
            }
        }
        drop(old);
        self.status.update(|report| {
            for source in &mut next.sources {
                let known = report.sources.iter();
                let mut known = known.filter(|known| known.name == source.name);
                if let Some(known) = known.next().filter(|_| stay(&source.name)) {
                    *source = known.clone();
                }
            }
            report.sources = next.sources;
            report.cache = next.cache;
        });
        Ok(Arc::new(Self {
            sources,
            publisher: Arc::clone(&self.publisher),
            cache,
            clock: self.clock.clone(),
            status: Arc::clone(&self.status),
            metrics: self.metrics.clone(),
            keyring_file: None,
            state: std::sync::Mutex::new(state),
            activating: tokio::sync::Mutex::new(()),
            settings,
        }))
    }

    /// Ends the tasks of this activator once nothing of it is half done.
    pub async fn retire(&self, running: Running) {
        let _activating = self.activating.lock().await;
        running.stop().await;
    }

    /// Reads what the cache has of new sources; lets what remains decide where sources are gone.
    pub async fn resume(self: &Arc<Self>) {
        let _activating = self.activating.lock().await;
        let this = Arc::clone(self);
        let resumed = tokio::task::spawn_blocking(move || {
            this.boot_parts();
            this.publish_rest();
        });
        if resumed.await.is_err() {
            tracing::error!("taking over the bundles panicked");
        }
    }

    /// Publishes the parts that are there, where they are all and not what decides already.
    fn publish_rest(&self) {
        if self.settings.sources.is_empty() {
            self.publisher.withdraw();
            self.status.update(|report| report.bundle = None);
            return;
        }
        let parts = self.lock().parts.clone();
        let Some(parts) = parts.into_iter().collect::<Option<Vec<Part>>>() else {
            return;
        };
        let decides = self.publisher.reader().load();
        let decides = decides.snapshot.iter().flat_map(|now| &now.bundles);
        let names = self.settings.sources.iter().map(|source| &source.name);
        let offered = names.zip(&parts).map(|(name, part)| (name, &part.digest));
        if decides
            .map(|bundle| (&bundle.source, &bundle.archive))
            .eq(offered)
        {
            return;
        }
        let number = self.lock().generation + 1;
        let published = self.load_parts(&parts, number).and_then(|snapshot| {
            let published = self.publisher.publish(snapshot);
            published.map_err(|error| super::ActivationError::swapping(&error))
        });
        match published {
            Ok(snapshot) => {
                self.lock().generation = number;
                self.report_generation(Origin::Source(0), &snapshot);
            }
            Err(error) => {
                tracing::error!(%error, "the bundles that stay cannot decide by themselves");
                self.show_failure_of_all(&error);
            }
        }
    }
}
