//! Requests that are the control plane's to answer: sent up, and answered with what it says.
//!
//! Nothing is stored here. Every request has a deadline, a place among those in flight, and leave
//! from the circuit breaker; it is tried again only when the control plane saw nothing of it, or when
//! its body was kept and its idempotency key makes a second time harmless.

mod body;
mod error;
mod grpc;
mod headers;
mod metrics;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::api::ErrorCode;
use crate::resilience::{Backoff, Breaker, BreakerSettings, BreakerStatus, Permit};
use crate::spans::{Begun, Side, Span, Spans};
use crate::wire::{self, Client, WireError};

use body::{Guarded, Payload, Place};
pub use error::{ForwardError, SetupError};
pub use grpc::Call;
use metrics::Metrics;

/// A request is sent at most this often.
const ATTEMPTS: u32 = 3;

/// The longest that a caller may ask the control plane to wait, on top of the deadline.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Where requests go and what they may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What metrics and log call it.
    pub name: &'static str,
    /// `http` or `https`, with an authority; a path is put before the request's.
    pub base: Uri,
    /// Until the head of the answer, all attempts together; and between two pieces of its body.
    pub deadline: Duration,
    /// How many requests may be under way at once.
    pub in_flight: usize,
    pub breaker: BreakerSettings,
    pub client: wire::Settings,
    /// Where the requests' spans go; None = nowhere.
    pub spans: Option<Spans>,
}

/// Sends requests up. Clones share pool, breaker and limit.
#[derive(Clone, Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    base: Uri,
    deadline: Duration,
    client: Client,
    breaker: Arc<Breaker>,
    in_flight: Arc<Semaphore>,
    metrics: Metrics,
    spans: Option<Spans>,
}

impl Forwarder {
    /// A forwarder whose connections live on `handle`'s runtime and whose metrics are in `registry`.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when the base is no absolute HTTP URL, TLS cannot be prepared, or a metric of
    /// the same name is registered already.
    pub fn new(
        settings: &Settings,
        handle: &Handle,
        registry: &prometheus::Registry,
    ) -> Result<Self, SetupError> {
        let http = matches!(settings.base.scheme_str(), Some("http" | "https"));
        if !http || settings.base.authority().is_none() || settings.base.query().is_some() {
            return Err(SetupError::Base(settings.base.clone()));
        }
        let breaker = Breaker::new(settings.breaker, Instant::now());
        Ok(Self {
            shared: Arc::new(Shared {
                name: settings.name,
                base: settings.base.clone(),
                deadline: settings.deadline,
                client: Client::new(&settings.client, handle)?,
                metrics: Metrics::register(registry, settings.name, &breaker)?,
                breaker,
                in_flight: Arc::new(Semaphore::new(settings.in_flight)),
                spans: settings.spans.clone(),
            }),
        })
    }

    /// The breaker, as it stands.
    #[must_use]
    pub fn breaker(&self) -> BreakerStatus {
        self.shared.breaker.status()
    }

    /// Sends a request up and answers what comes back, or a problem document.
    pub async fn forward(&self, request: Request<Incoming>) -> Response<wire::Body> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let mut request = request;
        let span = self.shared.begin(request.headers_mut());
        let result = self.shared.forward(request).await;
        if let Some((begun, started)) = span {
            let status = result.as_ref().map(|response| response.status().as_u16());
            let status = status.map_err(ForwardError::code);
            self.shared.end(begun, started, &method, status);
        }
        match result {
            Ok(response) => {
                self.shared.metrics.answered();
                response
            }
            Err(error) => {
                self.shared.metrics.refused(error.code());
                error.report(&method, &path);
                error.response(&path)
            }
        }
    }
}

impl Shared {
    /// A span for a request that goes up, where its trace is recorded: it becomes the parent of what comes after.
    fn begin(&self, headers: &mut HeaderMap) -> Option<(Begun, SystemTime)> {
        let caller = headers.get("traceparent");
        let begun = self
            .spans
            .as_ref()?
            .begin(caller.map_or(b"", HeaderValue::as_bytes))?;
        headers::set_traceparent(headers, &begun.context);
        Some((begun, SystemTime::now()))
    }

    fn end(
        &self,
        begun: Begun,
        started: SystemTime,
        method: &Method,
        status: Result<u16, ErrorCode>,
    ) {
        let Some(spans) = &self.spans else { return };
        let (failed, how) = match status {
            Ok(status) => (
                status >= 500,
                ("http.response.status_code", i64::from(status).into()),
            ),
            Err(code) => (true, ("error.type", code.as_str().into())),
        };
        let attributes = vec![
            ("http.request.method", method.as_str().to_owned().into()),
            ("lictor.upstream", self.name.into()),
            how,
        ];
        spans.end(Span {
            begun,
            side: Side::Client,
            name: "forward",
            started,
            ended: SystemTime::now(),
            attributes,
            failed,
        });
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<wire::Body>, ForwardError> {
        let place = Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map(|permit| Place::new(permit, self.metrics.in_flight()))
            .map_err(|_| ForwardError::Busy)?;
        let permit = self.breaker.admit(Instant::now())?;
        let (mut head, incoming) = request.into_parts();
        let end = Instant::now() + self.deadline + asked_to_wait(&head);
        head.uri = headers::target(&self.base, &head.uri)?;
        headers::prepare(&head.method, &mut head.headers);
        let payload = Payload::new(incoming, self.deadline).await?;
        let result = self.attempts(&head, &payload, end).await;
        let failed = match &result {
            Ok(response) => matches!(response.status().as_u16(), 502..=504),
            Err(_) => false,
        };
        self.tell(permit, failed, result.as_ref().err());
        let (mut head, incoming) = result?.into_parts();
        headers::strip_hop_by_hop(&mut head.headers);
        let body = Guarded::new(incoming, self.deadline, place);
        Ok(Response::from_parts(head, body.boxed_unsync()))
    }

    /// Sends the request until there is an answer, the deadline has passed, or another time could do
    /// something twice.
    async fn attempts(
        &self,
        head: &Parts,
        payload: &Payload,
        end: Instant,
    ) -> Result<Response<Incoming>, ForwardError> {
        let send = |left| {
            let request = Request::from_parts(head.clone(), payload.body());
            self.client.send(request, left)
        };
        let repeatable = payload.is_kept() && head.headers.contains_key(headers::IDEMPOTENCY_KEY);
        self.repeat(send, payload, repeatable, end).await
    }

    /// Does `send`, which is given the time that is left, until there is an answer.
    async fn repeat<T, F: Future<Output = Result<T, WireError>>>(
        &self,
        send: impl Fn(Duration) -> F,
        payload: &Payload,
        repeatable: bool,
        end: Instant,
    ) -> Result<T, ForwardError> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut attempt = 1;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let error = match send(left).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let delay = backoff.next_delay();
            let again = match &error {
                _ if error.never_sent() => payload.is_untouched(),
                WireError::Interrupted(_) => repeatable,
                _ => false,
            };
            if !again || attempt == ATTEMPTS || Instant::now() + delay >= end {
                return Err(payload.explain(error));
            }
            attempt += 1;
            self.metrics.retried();
            tokio::time::sleep(delay).await;
        }
    }

    /// Tells the breaker how the request came out. What the caller did wrong says nothing about the
    /// control plane.
    fn tell(&self, permit: Permit, answered_badly: bool, error: Option<&ForwardError>) {
        let before = self.breaker.status().state;
        match error {
            None if answered_badly => permit.failed(Instant::now()),
            None => permit.succeeded(),
            Some(error) if error.is_upstreams() => permit.failed(Instant::now()),
            Some(_) => drop(permit),
        }
        let after = self.breaker.status();
        if after.state != before {
            tracing::warn!(
                breaker = self.name,
                from = before.as_str(),
                to = after.state.as_str(),
                consecutive_failures = after.consecutive_failures,
                "circuit breaker changed"
            );
        }
    }
}

/// What a long poll asks for: `prefer: wait=N`, in seconds.
fn asked_to_wait(head: &Parts) -> Duration {
    if head.method != Method::GET {
        return Duration::ZERO;
    }
    head.headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok())
        .map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(seconds).min(LONGEST_WAIT)
        })
}
