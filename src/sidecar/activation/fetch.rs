//! One loop per source: fetch, offer, wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::resilience::Backoff;
use crate::sidecar::cache::Download;
use crate::sidecar::source::{FetchError, Fetched, Source, Wait};

use super::{Activator, SyncResult};

/// The first delay after a failure; it doubles up to the source's polling interval.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// A source that says "nothing new" sooner than this does not hold requests: it is polled.
const HELD_AT_LEAST: Duration = Duration::from_secs(1);

/// Asks a source to fetch now.
#[derive(Debug)]
pub(super) struct SyncRequest {
    /// Gets what happened.
    pub(super) reply: Option<oneshot::Sender<(SyncResult, String)>>,
}

/// Fetches for ever. A request interrupts the waiting for an answer or for the next turn, never an activation.
pub(super) async fn run(
    activator: Arc<Activator>,
    index: usize,
    mut requests: mpsc::Receiver<SyncRequest>,
) {
    let Some(source) = activator.sources.get(index) else {
        return;
    };
    let poll = source.poll();
    let mut backoff = Backoff::new(FIRST_DELAY, poll.max(FIRST_DELAY));
    let mut wait = Wait::No;
    let mut request: Option<SyncRequest> = None;
    loop {
        let started = Instant::now();
        let fetch = fetch(&activator, index, source, wait);
        let fetched = if request.is_some() {
            fetch.await
        } else {
            tokio::select! {
                fetched = fetch => fetched,
                Some(interrupted_by) = requests.recv() => {
                    request = Some(interrupted_by);
                    wait = Wait::No;
                    continue;
                }
            }
        };
        let ended = activator.settle(index, fetched).await;
        let delay = match ended.0 {
            SyncResult::Activated => {
                backoff.reset();
                if source.holds() {
                    Duration::ZERO
                } else {
                    jittered(poll)
                }
            }
            SyncResult::Unchanged => {
                backoff.reset();
                let at_once =
                    source.holds() && (wait == Wait::No || started.elapsed() >= HELD_AT_LEAST);
                if at_once {
                    Duration::ZERO
                } else {
                    jittered(poll)
                }
            }
            SyncResult::Refused | SyncResult::Failed | SyncResult::Pending => backoff.next_delay(),
        };
        if let Some(reply) = request.take().and_then(|request| request.reply) {
            // Nobody waits any more: nothing to tell.
            let _ = reply.send(ended);
        }
        wait = Wait::Held;
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            Some(next) = requests.recv() => {
                request = Some(next);
                wait = Wait::No;
            }
        }
    }
}

async fn fetch(
    activator: &Arc<Activator>,
    index: usize,
    source: &Source,
    wait: Wait,
) -> Result<Fetched, FetchError> {
    let now = activator.clock.now().to_string();
    activator
        .status
        .update_source(activator.name(index), |report| {
            report.last_attempt = Some(now);
        });
    let conditions = activator.lock().conditions(index);
    let receiving = Arc::clone(activator);
    let download = move || receiving.download();
    let started = Instant::now();
    let fetched = source.fetch(conditions, wait, download).await;
    let ended = activator.clock.now().to_string();
    let took = nanos(started.elapsed());
    activator
        .status
        .update_source(activator.name(index), |report| {
            if matches!(fetched, Ok(Fetched::New(_))) {
                report.last_download = Some(ended.clone());
            }
            report.last_result = Some(ended);
            report.fetch_ns = took;
        });
    fetched
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Activator {
    /// Where an archive is received: into the cache folder, or into memory where there is none.
    fn download(&self) -> Download {
        let limit = self.settings.archive_limits.archive_bytes;
        let cache = self.cache.as_ref();
        cache.map_or_else(
            || Download::into_memory(limit),
            crate::sidecar::cache::Cache::download,
        )
    }

    async fn settle(
        self: &Arc<Self>,
        source: usize,
        fetched: Result<Fetched, FetchError>,
    ) -> (SyncResult, String) {
        match fetched {
            Ok(Fetched::New(received)) => {
                self.answered(source);
                self.offer(source, received).await
            }
            Ok(Fetched::Unchanged { confirms_active }) => {
                if confirms_active {
                    self.confirm(source);
                } else {
                    self.answered(source);
                }
                (SyncResult::Unchanged, String::new())
            }
            Err(error) => self.fetch_failed(source, error),
        }
    }
}

/// Within a tenth of it, so that many sidecars spread.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + rand::random::<f64>() / 5.0)
}
