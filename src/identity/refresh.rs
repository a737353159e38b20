//! Keeping an issuer's keys fresh: a task for every file and key set, which reads them again when they change,
//! on a schedule, and when a token names a key that is not known.
//!
//! What cannot be read or used changes nothing: the last good keys stay in force.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use tokio::sync::{Notify, Semaphore, watch};

use crate::jose::{self, Algorithm};
use crate::server::FileState;
use crate::server::telemetry::with_causes;
use crate::wire::{self, Client};

use super::IssuerError;
use super::jwk::{self, SET_LIMIT};
use super::keys::{Key, KeySource, SetUrl, TrustedIssuer};
use super::metrics::{KeyMetrics, Metrics, Read};

/// How often files are looked at.
const FILE_POLL: Duration = Duration::from_secs(1);
/// For the whole answer of a key set's server.
const FETCH_DEADLINE: Duration = Duration::from_secs(5);
/// How long a request waits for the keys to be read again.
const PATIENCE: Duration = Duration::from_secs(6);
/// Requests that may wait for that at a time, for one issuer; more are refused at once.
const WAITERS: usize = 64;
/// Between two fetches that fail, at first and at most.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(1)];

/// One attempt to read the keys.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    began: Instant,
    running: bool,
}

/// Where requests and the task of one issuer meet.
#[derive(Debug)]
pub(super) struct Refresher {
    wanted: Notify,
    attempt: watch::Sender<Attempt>,
    waiters: Semaphore,
    /// Between two attempts, however often they are wanted.
    pause: Duration,
    metrics: KeyMetrics,
}

impl Refresher {
    fn new(pause: Duration, metrics: KeyMetrics) -> Self {
        let attempt = Attempt {
            began: Instant::now(),
            running: true,
        };
        Self {
            wanted: Notify::new(),
            attempt: watch::channel(attempt).0,
            waiters: Semaphore::new(WAITERS),
            pause,
            metrics,
        }
    }

    /// Waits for keys that are newer than this call; false where there are none to be had now.
    pub(super) async fn newer(&self) -> bool {
        let Ok(_permit) = self.waiters.try_acquire() else {
            self.metrics.limited();
            return false;
        };
        let mut attempts = self.attempt.subscribe();
        let last = *attempts.borrow();
        if !last.running {
            if last.began.elapsed() < self.pause {
                self.metrics.limited();
                return false;
            }
            self.wanted.notify_one();
        }
        let ended = attempts
            .wait_for(|attempt| !attempt.running && (last.running || attempt.began > last.began));
        matches!(tokio::time::timeout(PATIENCE, ended).await, Ok(Ok(_)))
    }

    fn begin(&self) {
        self.attempt.send_replace(Attempt {
            began: Instant::now(),
            running: true,
        });
    }

    fn end(&self) {
        self.attempt.send_modify(|attempt| attempt.running = false);
    }

    /// Until `pause` has passed, or the keys are wanted and may be read again.
    async fn rest(&self, pause: Duration) {
        let began = self.attempt.borrow().began;
        let end = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                () = self.wanted.notified() => if began.elapsed() >= self.pause { return },
            }
        }
    }
}

/// Where keys are read from, again and again.
#[derive(Debug)]
pub(super) struct Source {
    issuer: String,
    algorithm: Algorithm,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Key(Watched),
    Set(Watched),
    Url {
        settings: SetUrl,
        client: Box<Client>,
        /// The set that is in force.
        seen: Option<Bytes>,
    },
}

#[derive(Debug)]
struct Watched {
    path: std::path::PathBuf,
    seen: Option<FileState>,
}

impl Watched {
    /// The file's bytes, where it is not the one that was seen last.
    fn changed(&mut self, limit: usize) -> Result<Option<Vec<u8>>, String> {
        let state = FileState::of(&self.path);
        if state == self.seen && state.is_some() {
            return Ok(None);
        }
        let bytes = read(&self.path, limit)?;
        self.seen = state;
        Ok(Some(bytes))
    }
}

impl Source {
    /// The source of an issuer's keys; None where they were given.
    pub(super) fn of(
        issuer: &TrustedIssuer,
        handle: &tokio::runtime::Handle,
    ) -> Result<Option<Self>, IssuerError> {
        let watched = |path: &Path| Watched {
            path: path.to_owned(),
            seen: None,
        };
        let place = match &issuer.keys {
            KeySource::Given(_) => return Ok(None),
            KeySource::File(path) => Place::Key(watched(path)),
            KeySource::SetFile(path) => Place::Set(watched(path)),
            KeySource::SetUrl(settings) => {
                let wire = wire::Settings {
                    ca_file: settings.ca_file.clone(),
                    ..wire::Settings::default()
                };
                Place::Url {
                    settings: settings.clone(),
                    client: Client::new(&wire, handle)
                        .map(Box::new)
                        .map_err(|error| issuer.wrong(error.to_string()))?,
                    seen: None,
                }
            }
        };
        Ok(Some(Self {
            issuer: issuer.name.clone(),
            algorithm: issuer.algorithm,
            place,
        }))
    }

    /// The keys of a file; None where they must be fetched. A file that is wrong keeps a program from starting.
    pub(super) fn at_start(&mut self) -> Result<Option<Vec<Key>>, String> {
        match &self.place {
            Place::Url { .. } => Ok(None),
            Place::Key(_) | Place::Set(_) => self.read_file(),
        }
    }

    pub(super) fn refresher(&self, metrics: &Arc<Metrics>) -> Refresher {
        let pause = match &self.place {
            Place::Url { settings, .. } => settings.pause,
            Place::Key(_) | Place::Set(_) => Duration::ZERO,
        };
        Refresher::new(pause, KeyMetrics::new(metrics, &self.issuer))
    }

    /// Reads the keys for ever; hands them to `publish` where there are any.
    pub(super) async fn keep(mut self, refresher: Arc<Refresher>, publish: impl Fn(Vec<Key>)) {
        let mut failures = 0_u32;
        loop {
            refresher.begin();
            match self.read().await {
                Ok(keys) => {
                    failures = 0;
                    match &keys {
                        Some(keys) => refresher.metrics.read(Read::Changed(keys.len())),
                        None if matches!(self.place, Place::Url { .. }) => {
                            refresher.metrics.read(Read::Unchanged);
                        }
                        None => {}
                    }
                    if let Some(keys) = keys {
                        tracing::info!(
                            issuer = self.issuer,
                            keys = keys.len(),
                            "keys are in force"
                        );
                        publish(keys);
                    }
                }
                Err(error) => {
                    refresher.metrics.read(Read::Failed);
                    // A file is looked at every second: say it once.
                    if failures == 0 || matches!(self.place, Place::Url { .. }) {
                        tracing::warn!(
                            issuer = self.issuer,
                            error,
                            "keys cannot be read, the last good ones stay"
                        );
                    }
                    failures = failures.saturating_add(1);
                }
            }
            refresher.end();
            refresher.rest(self.pause(failures)).await;
        }
    }

    /// The keys, where they are others than those read last.
    async fn read(&mut self) -> Result<Option<Vec<Key>>, String> {
        let Place::Url {
            settings,
            client,
            seen,
        } = &mut self.place
        else {
            return self.read_file();
        };
        let set = fetch(client, settings).await?;
        if seen.as_ref() == Some(&set) {
            return Ok(None);
        }
        let keys = jwk::keys(&set, self.algorithm)
            .map_err(|error| format!("`{}`: {error}", settings.url))?;
        *seen = Some(set);
        Ok(Some(keys))
    }

    fn pause(&self, failures: u32) -> Duration {
        let Place::Url { settings, .. } = &self.place else {
            return FILE_POLL;
        };
        let [first, most] = RETRY;
        match failures {
            0 => settings.refresh,
            _ => first
                .saturating_mul(1 << failures.saturating_sub(1).min(10))
                .min(most)
                .min(settings.refresh),
        }
    }

    fn read_file(&mut self) -> Result<Option<Vec<Key>>, String> {
        match &mut self.place {
            Place::Key(file) => {
                let Some(bytes) = file.changed(SET_LIMIT)? else {
                    return Ok(None);
                };
                let text = String::from_utf8(bytes)
                    .map_err(|_| format!("`{}` is no text", file.path.display()))?;
                let public = jose::Key::from_pem(self.algorithm, &text)
                    .map_err(|problem| format!("`{}`: {problem}", file.path.display()))?;
                Ok(Some(vec![Key::new(None, public)]))
            }
            Place::Set(file) => {
                let Some(bytes) = file.changed(SET_LIMIT)? else {
                    return Ok(None);
                };
                jwk::keys(&bytes, self.algorithm)
                    .map(Some)
                    .map_err(|error| format!("`{}`: {error}", file.path.display()))
            }
            Place::Url { .. } => Ok(None),
        }
    }
}

async fn fetch(client: &Client, settings: &SetUrl) -> Result<Bytes, String> {
    let failed = |reason: String| format!("`{}`: {reason}", settings.url);
    let request = Request::get(settings.url.clone())
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .body(wire::empty())
        .map_err(|error| failed(error.to_string()))?;
    let answer = client
        .fetch(request, FETCH_DEADLINE, SET_LIMIT)
        .await
        .map_err(|error| failed(with_causes(&error)))?;
    // A redirect is not followed: whom to believe is for the configuration to say.
    if answer.status() != StatusCode::OK {
        return Err(failed(format!("answered {}", answer.status())));
    }
    Ok(answer.into_body())
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |reason: String| format!("cannot read `{}`: {reason}", path.display());
    // Asked before opening: a named pipe would otherwise wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !metadata.is_file() {
        return Err(failed("no regular file".into()));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() > limit {
        return Err(failed(format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}
