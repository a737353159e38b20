//! The worker behind the outbox: a job becomes a signed bundle that proved itself, and only then the
//! tenant's pointer moves.
//!
//! Running a job twice is harmless: the first archive stored for a number stays, and the pointer only goes
//! forward. Jobs of one tenant are coalesced: the newest covers those before it.

mod make;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::control_plane::board::Board;
use crate::control_plane::clock;
use crate::control_plane::metrics::Metrics;
use crate::control_plane::registry::Stamping;
use crate::control_plane::store::sqlite::{bundles, numbers, versions};
use crate::control_plane::store::{BundleRow, JobRow, Store, StoreError};
use crate::model::Timestamp;
use crate::resilience::Backoff;
use crate::server::Draining;
use crate::server::telemetry::with_causes;

use make::Proved;
pub use make::{MakeError, Maker};

/// The longest sleep: a job left by another process (`advance-number`) is found after at most this.
const TICK: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// Turns jobs into served bundles.
#[derive(Debug)]
pub struct Worker {
    pub store: Store,
    pub maker: Arc<Maker>,
    pub stamping: Stamping,
    pub outbox: Arc<Notify>,
    pub board: Board,
    pub metrics: Metrics,
}

/// Why a job was not finished.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error("making the bundle broke off")]
    BrokenOff(#[from] tokio::task::JoinError),
}

impl From<sqlx::Error> for PublishError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Worker {
    /// Works until the drain starts; a job that runs is finished.
    pub async fn run(self, mut draining: Draining) {
        while !draining.has_started() {
            if let Err(error) = self.round().await {
                tracing::error!(error = %with_causes(&error), "the outbox cannot be read");
            }
            let pause = self.pause().await.unwrap_or(TICK);
            tokio::select! {
                () = self.outbox.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = draining.started() => {}
            }
        }
    }

    /// Issues anew what is due for it, then runs every job that is due.
    async fn round(&self) -> Result<(), StoreError> {
        self.reissue().await?;
        let due = {
            let mut read = self.store.read().await?;
            numbers::due(&mut read, clock::now()).await?
        };
        for job in due {
            self.run_job(&job).await?;
        }
        let (pending, failing) = {
            let mut read = self.store.read().await?;
            numbers::backlog(&mut read).await?
        };
        self.metrics.backlog(pending, failing);
        Ok(())
    }

    /// Takes a new number for every tenant whose newest job is at half its bundle's life, or waits for a
    /// key that this process does not hold.
    async fn reissue(&self) -> Result<(), StoreError> {
        let now = clock::now();
        let due: Vec<_> = self
            .newest_jobs()
            .await?
            .into_iter()
            .filter(|job| job.kid != self.stamping.kid || halfway(job) <= now)
            .collect();
        for job in due {
            let mut tx = self.store.write().await?;
            if numbers::current(&mut tx, &job.tenant).await? == job.number {
                let number = numbers::take(&mut tx, &job.tenant, &self.stamping.now()).await?;
                tx.commit().await?;
                tracing::info!(tenant = %job.tenant, number, "the bundle is issued anew");
            }
        }
        Ok(())
    }

    async fn newest_jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        let mut read = self.store.read().await?;
        let mut jobs = Vec::new();
        for tenant in numbers::tenants(&mut read).await? {
            jobs.extend(numbers::newest_job(&mut read, &tenant).await?);
        }
        Ok(jobs)
    }

    /// How long nothing is due.
    async fn pause(&self) -> Result<Duration, StoreError> {
        let mut next = {
            let mut read = self.store.read().await?;
            numbers::next_due(&mut read).await?
        };
        for job in self.newest_jobs().await? {
            let halfway = halfway(&job);
            next = Some(next.map_or(halfway, |next| next.min(halfway)));
        }
        let Some(next) = next else { return Ok(TICK) };
        let nanos = next.unix_nanos() - clock::now().unix_nanos();
        Ok(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).min(TICK))
    }

    /// Runs a job; a failure is noted at the job, with the time of the next attempt.
    async fn run_job(&self, job: &JobRow) -> Result<(), StoreError> {
        match self.publish(job).await {
            Ok(()) => self.metrics.published(true),
            Err(error) => {
                self.metrics.published(false);
                let error = with_causes(&error);
                let wait = retry_after(job.attempts);
                tracing::error!(
                    tenant = %job.tenant,
                    number = job.number,
                    attempts = job.attempts + 1,
                    retry_in_ms = wait.as_millis() as u64,
                    error,
                    "a bundle cannot be published"
                );
                let next = clock::now().unix_nanos() + wait.as_nanos() as i128;
                let mut tx = self.store.write().await?;
                numbers::failed(&mut tx, job, &error, Timestamp::from_unix_nanos(next)).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    async fn publish(&self, job: &JobRow) -> Result<(), PublishError> {
        // One view for the number and the content: what is built is what the number stands for.
        let (current, stored, selected) = {
            let mut read = self.store.read().await?;
            let current = numbers::current(&mut read, &job.tenant).await?;
            let stored = bundles::archive(&mut read, &job.tenant, job.number).await?;
            let selected = versions::selected(&mut read, &job.tenant).await?;
            (current, stored, selected)
        };
        if current != job.number {
            // A later number was taken since; its job is in the outbox and covers this one.
            self.outbox.notify_one();
            return Ok(());
        }
        let (maker, ordered) = (Arc::clone(&self.maker), job.clone());
        let proved = tokio::task::spawn_blocking(move || {
            let archive = match stored {
                Some(archive) => archive,
                None => maker.build(&ordered, selected)?,
            };
            maker.prove(&ordered, archive, clock::now())
        })
        .await??;
        let bundle = row(job, &proved);
        let mut tx = self.store.write().await?;
        bundles::insert(&mut tx, &bundle, &proved.archive).await?;
        bundles::point(&mut tx, &job.tenant, job.number).await?;
        numbers::finish(&mut tx, job).await?;
        bundles::prune(&mut tx, &job.tenant, job.number).await?;
        tx.commit().await?;
        tracing::info!(
            tenant = %bundle.tenant,
            revision = bundle.revision,
            policies = bundle.policies,
            bytes = bundle.size,
            "a bundle is published"
        );
        self.board.serve(bundle);
        Ok(())
    }
}

fn row(job: &JobRow, proved: &Proved) -> BundleRow {
    BundleRow {
        tenant: job.tenant.clone(),
        number: job.number,
        revision: proved.revision.clone(),
        sha256: proved.sha256.clone(),
        issued_at: proved.issued_at,
        expires_at: proved.expires_at,
        kid: proved.kid.clone(),
        policies: proved.policies,
        size: proved.archive.len() as u64,
    }
}

/// When half of the bundle's life is over.
fn halfway(job: &JobRow) -> Timestamp {
    let (from, to) = (job.issued_at.unix_nanos(), job.expires_at.unix_nanos());
    Timestamp::from_unix_nanos(from + (to - from) / 2)
}

fn retry_after(attempts: u32) -> Duration {
    let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
    let mut wait = backoff.next_delay();
    for _ in 0..attempts.min(16) {
        wait = backoff.next_delay();
    }
    wait
}
