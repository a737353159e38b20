//! Tells of every change of the status: to a service, to the console, in metrics. The latest state wins; what a
//! service did not take is sent again.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::resilience::Backoff;
use crate::server::telemetry::with_causes;
use crate::sidecar::clock::Clock;
use crate::sidecar::config::opa::Trigger;
use crate::sidecar::credentials::{Credentials, CredentialsError};
use crate::wire::{self, Client, WireError};

use super::Management;
use super::document::reason;
use super::gauges::Gauges;

/// Changes that come this close together are told together.
const TOGETHER: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 64 * 1024;
/// After a failure; it doubles up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Whom to tell.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub service: Option<Service>,
    pub console: bool,
    pub prometheus: bool,
    pub trigger: Trigger,
}

/// A status service.
#[derive(Clone, Debug)]
pub struct Service {
    pub url: Uri,
    pub headers: HeaderMap,
    pub credentials: Credentials,
    pub client: wire::Settings,
    /// For an answer; None = 10 seconds.
    pub deadline: Option<Duration>,
}

/// See the module.
#[derive(Debug)]
pub struct Reporter {
    management: Arc<Management>,
    clock: Clock,
    handle: Handle,
    settings: tokio::sync::watch::Receiver<Arc<Settings>>,
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("status update failed")]
    Wire(#[from] WireError),
    #[error("status update failed")]
    Credentials(#[from] CredentialsError),
    #[error("status update failed, server replied with HTTP {0} {text}", text = reason(*.0))]
    Status(u16),
}

/// What of the settings is at work.
#[derive(Default)]
struct Working {
    settings: Arc<Settings>,
    client: Option<Client>,
    gauges: Option<Gauges>,
    /// What was shown here last, and what the service took last.
    shown: Value,
    sent: Value,
}

impl Reporter {
    /// A reporter whose settings may change.
    #[must_use]
    pub const fn new(
        management: Arc<Management>,
        clock: Clock,
        handle: Handle,
        settings: tokio::sync::watch::Receiver<Arc<Settings>>,
    ) -> Self {
        Self {
            management,
            clock,
            handle,
            settings,
        }
    }

    /// Tells for ever.
    pub async fn run(mut self) {
        let mut changes = self.management.status.changes();
        let mut working = Working::default();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let settings = Arc::clone(&self.settings.borrow_and_update());
            if !Arc::ptr_eq(&settings, &working.settings) {
                self.adopt(settings, &mut working);
            }
            changes.mark_unchanged();
            let again = match self.tell(&mut working).await {
                Ok(()) => {
                    backoff.reset();
                    None
                }
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "the status will be sent again");
                    Some(backoff.next_delay())
                }
            };
            let retry = tokio::time::sleep(again.unwrap_or(Duration::MAX));
            tokio::select! {
                changed = changes.changed(), if again.is_none() => if changed.is_err() { return },
                _ = self.settings.changed() => {}
                () = retry, if again.is_some() => {}
            }
            tokio::time::sleep(TOGETHER).await;
        }
    }

    fn adopt(&self, settings: Arc<Settings>, working: &mut Working) {
        let gauges = working.gauges.take().filter(|_| settings.prometheus);
        working.gauges = match gauges {
            None if settings.prometheus => match Gauges::register(self.management.registry()) {
                Ok(gauges) => Some(gauges),
                Err(error) => {
                    tracing::error!(%error, "the metrics of the status cannot be registered");
                    None
                }
            },
            same => same,
        };
        let service = settings.service.as_ref();
        working.client =
            service.and_then(|service| match Client::new(&service.client, &self.handle) {
                Ok(client) => Some(client),
                Err(error) => {
                    tracing::error!(error = %with_causes(&error), "the status cannot be sent");
                    None
                }
            });
        (working.shown, working.sent) = (Value::Null, Value::Null);
        working.settings = settings;
    }

    async fn tell(&self, working: &mut Working) -> Result<(), ReportError> {
        let settings = Arc::clone(&working.settings);
        let is_told = settings.service.is_some() || settings.console || settings.prometheus;
        if !is_told || settings.trigger == Trigger::Manual {
            return Ok(());
        }
        let now = self.clock.now();
        let document = self.management.document(now);
        let is_new = document != working.shown;
        if let Some(gauges) = working.gauges.as_ref().filter(|_| is_new) {
            let report = self.management.status.report(now);
            gauges.show(&report, &self.management.plugins(&report));
        }
        let unsent = (settings.service.as_ref().zip(working.client.as_ref()))
            .filter(|_| document != working.sent);
        let mut whole = document.clone();
        if unsent.is_some() || is_new && settings.console {
            whole["metrics"] = self.management.metrics();
        }
        if is_new && settings.console {
            print(whole.clone(), &now.to_string());
        }
        working.shown = document.clone();
        if let Some((service, client)) = unsent {
            send(service, client, &whole).await?;
            working.sent = document;
        }
        Ok(())
    }
}

/// One line on standard output, as OPA's console has it.
fn print(mut document: Value, now: &str) {
    document["level"] = json!("info");
    document["msg"] = json!("Status Log");
    document["time"] = json!(now);
    document["type"] = json!("openpolicyagent.org/status");
    // Nobody can be told that nobody can be told.
    drop(writeln!(std::io::stdout().lock(), "{document}"));
}

async fn send(service: &Service, client: &Client, document: &Value) -> Result<(), ReportError> {
    let mut request = Request::new(wire::full(document.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = service.url.clone();
    let headers = request.headers_mut();
    headers.extend(service.headers.clone());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(value) = service.credentials.header().await? {
        headers.insert(AUTHORIZATION, value);
    }
    let deadline = service.deadline.unwrap_or(DEADLINE);
    let answer = client.fetch(request, deadline, ANSWER_LIMIT).await?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(ReportError::Status(answer.status().as_u16()))
    }
}
