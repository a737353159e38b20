//! What a configuration can change while requests are served: sources, decision log, status reports, and what OPA's
//! clients see of it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::super::activation::{Activator, Running};
use super::super::admin::Admin;
use super::super::config::{Loaded, SourceConfig};
use super::super::decision_log;
use super::super::management::{Live, Management, ReporterSettings};
use super::super::{BuildError, settings};

/// See the module.
#[derive(Debug)]
pub(in crate::sidecar) struct Plane {
    pub(in crate::sidecar) activator: Arc<Activator>,
    pub(in crate::sidecar) running: Option<Running>,
    pub(in crate::sidecar) log: Option<decision_log::Writer>,
    pub(in crate::sidecar) reports: watch::Sender<Arc<ReporterSettings>>,
    pub(in crate::sidecar) management: Arc<Management>,
    pub(in crate::sidecar) admin: Arc<Admin>,
    /// What holds now.
    pub(in crate::sidecar) loaded: Loaded,
}

impl Plane {
    /// Lets another configuration hold.
    ///
    /// # Errors
    ///
    /// What of it cannot be used; then the one before still holds.
    pub(in crate::sidecar) async fn adopt(&mut self, loaded: Loaded) -> Result<(), BuildError> {
        let opa = loaded.opa.as_deref();
        let sources = settings::activation(&loaded.config, opa)?;
        let log = settings::decision_log(&loaded.config, opa)?;
        let reports = settings::status(opa)?;
        if let Some(writer) = &mut self.log
            && !same_log(&self.loaded, &loaded)
        {
            writer.reconfigure(log)?;
        }
        let before = &self.loaded;
        let is_same = sources_of(before) == sources_of(&loaded)
            && before.config.cache == loaded.config.cache
            && before
                .config
                .sources
                .iter()
                .all(|source| stays(before, &loaded, &source.name));
        if !is_same {
            self.replace(sources, &loaded).await?;
        }
        self.reports.send_replace(Arc::new(reports));
        let live = Live::new(&loaded.config, loaded.opa.clone());
        self.loaded = loaded;
        self.management.set_live(live);
        Ok(())
    }

    async fn replace(
        &mut self,
        sources: super::super::activation::Settings,
        loaded: &Loaded,
    ) -> Result<(), BuildError> {
        let handle = Handle::current();
        let is_running = self.running.is_some();
        if let Some(running) = self.running.take() {
            self.activator.retire(running).await;
        }
        let stay = |name: &str| stays(&self.loaded, loaded, name);
        match self.activator.succeed(sources, stay, &handle) {
            Ok(next) => {
                next.resume().await;
                self.activator = next;
                if is_running {
                    self.start();
                }
                Ok(())
            }
            Err(error) => {
                if is_running {
                    self.start();
                }
                Err(error.into())
            }
        }
    }

    /// Starts fetching.
    pub(in crate::sidecar) fn start(&mut self) {
        let running = self.activator.spawn(&Handle::current());
        self.admin.set_sync(running.sync.clone());
        self.running = Some(running);
    }
}

fn sources_of(loaded: &Loaded) -> &[SourceConfig] {
    &loaded.config.sources
}

/// Whether a source is the same in both, all that it is fetched and verified with included.
fn stays(before: &Loaded, after: &Loaded, name: &str) -> bool {
    let source = |loaded: &Loaded| {
        let mut sources = loaded.config.sources.iter();
        sources.find(|source| source.name == name).cloned()
    };
    let service = |loaded: &Loaded| {
        let opa = loaded.opa.as_ref()?;
        opa.service_of(name).cloned()
    };
    let keys = |loaded: &Loaded| loaded.opa.as_ref().map(|opa| opa.keys.clone());
    source(before) == source(after)
        && service(before) == service(after)
        && keys(before) == keys(after)
}

fn same_log(before: &Loaded, after: &Loaded) -> bool {
    let of = |loaded: &Loaded| {
        let opa = loaded.opa.as_ref();
        opa.map(|opa| {
            let service = opa.log_service().cloned();
            (opa.decision_logs.clone(), service, opa.labels.clone())
        })
    };
    before.config.decision_log == after.config.decision_log && of(before) == of(after)
}
