//! Sends events to a log service as OPA does: a gzip-compressed JSON array, again until it is taken.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::resilience::Backoff;
use crate::server::telemetry::with_causes;
use crate::wire::{self, Client, WireError};

use crate::sidecar::credentials::{Credentials, CredentialsError};
use crate::sidecar::status::{Status, UploadReport};

use super::Counters;
use super::spool::{self, Spool};

const DEADLINE: Duration = Duration::from_secs(30);
/// What is left when the process stops gets this long.
const FLUSH: Duration = Duration::from_secs(5);
/// The status of a service for which an upload is too large, whatever we were told of its limit.
const TOO_LARGE: u16 = 413;
const ANSWER_LIMIT: usize = 64 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// However much later a service wants to be asked again.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// Uncompressed bytes of one upload, whatever it compresses to.
const MOST: usize = 16 * 1024 * 1024;

/// Where events go and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: Uri,
    pub credentials: Credentials,
    pub headers: HeaderMap,
    pub client: wire::Settings,
    /// For an answer; None = 30 seconds.
    pub deadline: Option<Duration>,
    /// Between two uploads, at random in between.
    pub delay: (Duration, Duration),
    /// Of one upload, compressed.
    pub upload_bytes: usize,
}

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
enum UploadError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("log upload failed, server replied with HTTP {status} {text}", text = reason(*.status))]
    Status {
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// The queue that the writer fills and the uploader empties.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    spool: Arc<Mutex<Spool>>,
    /// More waits than one upload takes.
    filled: Arc<Notify>,
    upload_bytes: usize,
}

/// The task that sends.
#[derive(Debug)]
pub(super) struct Uploader {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Queue {
    pub(super) fn new(spool: Spool, upload_bytes: usize) -> Self {
        Self {
            spool: Arc::new(Mutex::new(spool)),
            filled: Arc::new(Notify::new()),
            upload_bytes,
        }
    }

    pub(super) fn push(&self, event: &[u8]) {
        let mut spool = self.lock();
        spool.push(event);
        if spool.bytes() > self.upload_bytes as u64 * 8 {
            self.filled.notify_one();
        }
    }

    /// Events lost since this was last asked.
    pub(super) fn take_lost(&self) -> u64 {
        self.lock().take_lost()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UploadError {
    const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Wire(_) | Self::Credentials(_) => None,
        }
    }

    fn of(answer: &Response<Bytes>) -> Self {
        let seconds = answer.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Self::Status {
            status: answer.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }
}

impl Uploader {
    pub(super) fn start(
        settings: Settings,
        queue: Queue,
        counters: Counters,
        status: Arc<Status>,
        handle: &Handle,
    ) -> Result<Self, WireError> {
        let client = Client::new(&settings.client, handle)?;
        let (stop, stopping) = watch::channel(false);
        let sender = Sender {
            target: settings.upload_bytes.saturating_mul(8).min(MOST),
            most: MOST,
            settings,
            client,
            queue,
            counters,
            status,
        };
        Ok(Self {
            task: handle.spawn(sender.run(stopping)),
            stop,
        })
    }

    /// Stops sending at once; what waits stays for the next uploader, which may send an upload again.
    pub(super) fn abandon(self) {
        self.task.abort();
    }

    /// Sends what waits, within a few seconds, and keeps the rest for the next process.
    pub(super) async fn finish(self) {
        let _ = self.stop.send(true);
        if self.task.await.is_err() {
            tracing::error!("the uploader of decision events panicked");
        }
    }
}

struct Sender {
    settings: Settings,
    client: Client,
    queue: Queue,
    counters: Counters,
    status: Arc<Status>,
    /// Uncompressed bytes that are expected to fill one upload.
    target: usize,
    /// The target never grows beyond this: what the service took as too large was as large.
    most: usize,
}

impl Sender {
    async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        let longest = self.settings.delay.1.max(FIRST_RETRY);
        let mut backoff = Backoff::new(FIRST_RETRY, longest);
        let mut failed_before = false;
        loop {
            let sent = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                sent = self.send_all() => sent,
            };
            let delay = match sent {
                Ok(()) => {
                    backoff.reset();
                    failed_before = false;
                    let (min, max) = self.settings.delay;
                    min + max.saturating_sub(min).mul_f64(rand::random())
                }
                Err(error) => {
                    if !failed_before {
                        let error = with_causes(&error);
                        tracing::warn!(error, "decision events are kept until they can be sent");
                    }
                    failed_before = true;
                    self.counters.upload_failed.inc();
                    let asked = match &error {
                        UploadError::Status { retry_after, .. } => *retry_after,
                        _ => None,
                    };
                    let asked = asked.unwrap_or_default().min(LONGEST_WAIT);
                    backoff.next_delay().max(asked)
                }
            };
            let filled = Arc::clone(&self.queue.filled);
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(delay) => {}
                () = filled.notified(), if !failed_before => {}
            }
        }
        let flushed = tokio::time::timeout(FLUSH, self.send_all()).await;
        match flushed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = with_causes(&error);
                tracing::warn!(error, "decision events are left for the next start");
            }
            Err(_) => tracing::warn!("decision events are left for the next start"),
        }
        let mut spool = self.queue.lock();
        spool.retire();
        let lost = spool.take_lost();
        drop(spool);
        self.counters.not_delivered("spool_full", lost);
    }

    /// Sends until nothing waits.
    async fn send_all(&mut self) -> Result<(), UploadError> {
        loop {
            let lines = self.queue.lock().next(self.target).map(<[u8]>::to_vec);
            let Some(lines) = lines else {
                return Ok(());
            };
            let limit = self.settings.upload_bytes;
            let body = compressed(&lines);
            let events = spool::count(&lines);
            if body.len() > limit && events > 1 {
                self.target = (lines.len() / 2).max(1);
                continue;
            }
            if body.len() > limit {
                self.counters.not_delivered("too_large", 1);
                self.queue.lock().delivered(lines.len());
                continue;
            }
            let sent = self.send(body).await;
            self.tell(&sent);
            if let Err(error) = &sent
                && error.status() == Some(TOO_LARGE)
            {
                self.counters.upload_failed.inc();
                if events > 1 {
                    self.most = (lines.len() / 2).max(1);
                    self.target = self.most;
                } else {
                    // It would never be taken, and what comes after it neither.
                    self.counters.not_delivered("too_large", 1);
                    self.queue.lock().delivered(lines.len());
                }
                continue;
            }
            sent?;
            self.queue.lock().delivered(lines.len());
            self.counters.delivered.inc_by(events);
            if lines.len() >= self.target / 2 {
                self.target = self.target.saturating_mul(2).min(self.most);
            }
        }
    }

    /// Says in the status how an upload ended.
    fn tell(&self, sent: &Result<(), UploadError>) {
        let error = sent.as_ref().err();
        let shown = UploadReport {
            error: error.map(ToString::to_string),
            http_status: error.and_then(UploadError::status),
        };
        self.status
            .update(|report| report.decision_log = Some(shown));
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), UploadError> {
        let mut request = Request::new(wire::full(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.settings.url.clone();
        let headers = request.headers_mut();
        headers.extend(self.settings.headers.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        if let Some(value) = self.settings.credentials.header().await? {
            headers.insert(AUTHORIZATION, value);
        }
        let deadline = self.settings.deadline.unwrap_or(DEADLINE);
        let answer = self.client.fetch(request, deadline, ANSWER_LIMIT).await?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(UploadError::of(&answer))
        }
    }
}

/// A status in words.
fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    let words = status.and_then(|status| status.canonical_reason());
    words.unwrap_or_default()
}

/// Lines as one JSON array, compressed.
fn compressed(lines: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(b"[");
    for (index, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if index > 0 {
            let _ = encoder.write_all(b",");
        }
        let _ = encoder.write_all(line);
    }
    let _ = encoder.write_all(b"]");
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_upload_is_one_array() {
        let body = compressed(b"{\"a\":1}\n{\"b\":2}\n");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, r#"[{"a":1},{"b":2}]"#);
    }
}
