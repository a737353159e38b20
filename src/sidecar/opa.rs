//! OPA's REST API on the main listener: the calls that a client of OPA makes of a sidecar, answered by our engine.
//!
//! Shapes and texts are OPA 1.22's. What differs is what the tests against a real OPA except, each with its reason
//! (`tests/it/opa_api/requests.rs`).

mod authorize;
mod body;
mod data;
mod error;
mod explain;
mod health;
mod metrics;
mod parameters;
mod path;
mod policies;
mod query;
mod reply;
mod route;
mod state;
mod write;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::api::opa::Code;
use crate::decide::{Origin, Question, Worker};
use crate::engine::rego::write_rego_json;
use crate::engine::{DuplicateMembers, RegoValue};
use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::body::{Body, read};
use crate::server::{Bound, Door, guard};

use super::caller::{Credentials, LocalCallers};
use super::config::{OpaAuthentication, OpaAuthorization};
use super::management::{Live, Management};
use super::revision::{self, Wanted};
use super::shared::Shared;

use body::Form;
use error::Failure;
use metrics::Metrics;
use parameters::Parameters;
use reply::{Packing, Reply};
use route::{Label, Route};

/// Whether a path belongs to OPA's clients.
pub fn owns(path: &str) -> bool {
    route::owns(path)
}

/// What this door has beside what all doors share.
#[derive(Debug)]
pub struct Api {
    management: Arc<Management>,
    metrics: Metrics,
}

impl Api {
    /// Registers metrics.
    ///
    /// # Errors
    ///
    /// When a name is registered already.
    pub fn new(management: Arc<Management>) -> prometheus::Result<Self> {
        let live = management.live();
        let file = live.file.as_ref();
        let buckets = file.map_or(&[][..], |file| file.server.buckets());
        let metrics = Metrics::register(management.registry(), buckets)?;
        drop(live);
        Ok(Self {
            management,
            metrics,
        })
    }
}

/// Answers OPA's clients on one thread.
#[derive(Debug)]
pub struct Handler {
    shared: Arc<Shared>,
    api: Arc<Api>,
    worker: Rc<RefCell<Worker>>,
    callers: LocalCallers,
}

/// One request, as far as it has been looked at.
struct Call<'r> {
    handler: &'r Handler,
    /// The configuration that holds for all of it.
    live: &'r Live,
    head: &'r Parts,
    door: &'r Door,
    parameters: Parameters<'r>,
    form: Form,
    now: Timestamp,
    started: Instant,
    claims: Option<Arc<Claims>>,
    /// Unpacked; empty where the call takes none.
    body: Bytes,
    /// The value of the body, where the authorization policy was shown it.
    seen: Option<RegoValue>,
}

impl Call<'_> {
    /// `input` is JSON text for the decision log.
    fn question<'a>(&'a self, path: &'a str, input: &'a [u8]) -> Question<'a> {
        let header = |name| {
            self.head
                .headers
                .get(name)
                .map_or(&b""[..], HeaderValue::as_bytes)
        };
        let claims = self.claims.as_ref();
        Question {
            now: self.now,
            claims: claims.map(|claims| claims.json.as_bytes()),
            principal: "",
            duplicates: DuplicateMembers::LastWins,
            explain: false,
            origin: Origin {
                door: "opa",
                path,
                request_id: header("x-request-id"),
                traceparent: header("traceparent"),
                peer: self.door.peer,
                subject: match claims {
                    Some(claims) => &claims.subject,
                    None => self.door.principal(),
                },
                input,
            },
        }
    }

    /// The text of an input for the decision log; empty where there is no log.
    fn logged(&self, input: Option<&RegoValue>) -> Vec<u8> {
        let mut text = Vec::new();
        if let Some(input) = input.filter(|_| self.handler.shared.decision_log.is_some()) {
            let limit = self.handler.shared.limits.body_bytes;
            if !write_rego_json(input, limit, &mut text) {
                text.clear();
            }
        }
        text
    }

    fn depth(&self) -> usize {
        self.handler.shared.limits.input_depth
    }

    /// The value of the body, None where it is empty.
    fn value(&self) -> Result<Option<RegoValue>, String> {
        match &self.seen {
            Some(value) => Ok(Some(value.clone())),
            None => body::value(&self.body, self.form, self.depth()),
        }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Handler {
    /// A handler for the current thread, whose doors share one worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, api: Arc<Api>, worker: Rc<RefCell<Worker>>) -> Self {
        Self {
            worker,
            callers: shared.callers.local(),
            shared,
            api,
        }
    }

    /// Answers one request.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        door: Rc<Door>,
    ) -> Response<Body> {
        let started = Instant::now();
        let (head, incoming) = request.into_parts();
        let route = route::route(&head.method, head.uri.path());
        let live = self.api.management.live();
        let result = self
            .answer(&head, incoming, route, &door, started, &live)
            .await;
        let reply = result.unwrap_or_else(Reply::from);
        let took = started.elapsed();
        if let Some(label) = route.label() {
            let status = reply.status;
            let metrics = &self.api.metrics;
            metrics.answered(label, &head.method, status, took);
        }
        tracing::debug!(
            method = %head.method,
            path = head.uri.path(),
            status = reply.status.as_u16(),
            duration_us = took.as_micros() as u64,
            "answered"
        );
        let settings = &live.settings;
        let packing = reply::packs(&head.method, head.uri.path()).then_some(Packing {
            min_length: settings.gzip_min_length,
            level: settings.gzip_level,
        });
        let is_decision = reply.decision_id.is_some();
        let age = is_decision.then(|| self.shared.status.bundle_age(self.shared.clock.now()));
        reply.into_response(head.headers, packing, age.flatten())
    }

    async fn answer(
        &self,
        head: &Parts,
        incoming: Incoming,
        route: Route<'_>,
        door: &Door,
        started: Instant,
        live: &Live,
    ) -> Result<Reply, Failure> {
        self.admit(head, door)?;
        let now = self.shared.clock.now();
        let claims = self.identify(head, now, live).await?;
        let form = Form::read(&head.headers);
        let is_authorized = live.settings.authorization == OpaAuthorization::Basic;
        let body = if takes_body(route) || (is_authorized && head.method == Method::POST) {
            self.read(incoming, form, live).await?
        } else {
            Bytes::new()
        };
        let mut call = Call {
            handler: self,
            live,
            head,
            door,
            parameters: Parameters::read(head.uri.query()),
            form,
            now,
            started,
            claims,
            body,
            seen: None,
        };
        if is_authorized {
            let result = authorize::authorize(&mut call);
            let status = result
                .as_ref()
                .map_or_else(|failure| failure.status, |()| StatusCode::OK);
            let metrics = &self.api.metrics;
            metrics.answered(Label::Authz, &head.method, status, started.elapsed());
            result?;
        }
        if takes_body(route) || matches!(route, Route::DataGet(_) | Route::QueryGet) {
            self.reach(head).await?;
        }
        dispatch(&call, route)
    }

    /// What is asked of every request.
    fn admit(&self, head: &Parts, door: &Door) -> Result<(), Failure> {
        let limit = self.shared.limits.uri_bytes;
        let length = head
            .uri
            .path_and_query()
            .map_or(0, |path| path.as_str().len());
        if length > limit {
            return Err(Failure::new(
                StatusCode::URI_TOO_LONG,
                Code::InvalidParameter,
                format!("the URI is longer than {limit} bytes"),
            ));
        }
        let loopback = matches!(&door.bound, Bound::Tcp(address) if address.ip().is_loopback());
        guard::check(
            &head.headers,
            &head.uri,
            loopback,
            &self.shared.allowed_origins,
        )
        .map_err(|refusal| {
            Failure::new(
                StatusCode::FORBIDDEN,
                Code::Unauthorized,
                refusal.to_string(),
            )
        })
    }

    /// Where tokens are the authorization policy's business they are not looked at here.
    async fn identify(
        &self,
        head: &Parts,
        now: Timestamp,
        live: &Live,
    ) -> Result<Option<Arc<Claims>>, Failure> {
        let mut credentials = Credentials::read(&head.headers)?;
        if live.settings.authentication == OpaAuthentication::Token {
            credentials.authorization = None;
        }
        Ok(self.callers.identify(credentials, now).await?)
    }

    /// Waits for the revision that a decision is to be made from.
    async fn reach(&self, head: &Parts) -> Result<(), Failure> {
        match Wanted::read(&head.headers)? {
            Some(wanted) => Ok(Box::pin(revision::reach(&self.shared, wanted)).await?),
            None => Ok(()),
        }
    }

    async fn read(&self, incoming: Incoming, form: Form, live: &Live) -> Result<Bytes, Failure> {
        let settings = &live.settings;
        let body = read(
            incoming,
            settings.body_bytes,
            self.shared.limits.body_timeout,
        )
        .await
        .map_err(Failure::of_body)?;
        body::unpack(body, form, settings.gzip_body_bytes)
    }
}

const fn takes_body(route: Route<'_>) -> bool {
    matches!(
        route,
        Route::DefaultDecision
            | Route::V0Data(_)
            | Route::DataPost(_)
            | Route::DataPut(_)
            | Route::DataPatch(_)
            | Route::QueryPost
    )
}

fn dispatch(call: &Call<'_>, route: Route<'_>) -> Result<Reply, Failure> {
    match route {
        Route::DataPost(path) => data::post(call, path),
        Route::DataGet(path) => data::get(call, path),
        Route::V0Data(path) => data::v0(call, path),
        Route::DefaultDecision => data::v0(call, &call.live.settings.default_decision),
        Route::DataPut(path) => write::put(call, path),
        Route::DataPatch(path) => write::patch(call, path),
        Route::DataDelete(path) => write::delete(call, path),
        Route::QueryGet => query::get(call),
        Route::QueryPost => query::post(call),
        Route::Policies => Ok(policies::list(call)),
        Route::PolicyGet(id) => policies::get(call, id),
        Route::PolicyPut(_) => Err(write::owned(call, None)),
        Route::PolicyDelete(id) => policies::delete(call, id),
        Route::Compile => Err(Failure::not_implemented(
            "partial evaluation is not served here",
        )),
        Route::Health => Ok(health::health(call)),
        Route::HealthRule(rule) => health::rule(call, rule),
        Route::Config => Ok(state::config(call)),
        Route::Status => state::status(call),
        Route::Metrics => Ok(state::metrics(call)),
        Route::AllocBytes => Ok(state::alloc_bytes(call)),
        Route::Page => Ok(Reply::other(
            HeaderValue::from_static("text/html; charset=utf-8"),
            PAGE.as_bytes().to_vec(),
        )),
        Route::NotAllowed => Ok(Reply::empty(StatusCode::METHOD_NOT_ALLOWED)),
        Route::Refused(allow) => Ok(Reply::router(
            StatusCode::METHOD_NOT_ALLOWED,
            "Method Not Allowed",
            Some(allow),
        )),
        Route::Nowhere => Ok(Reply::router(
            StatusCode::NOT_FOUND,
            "404 page not found",
            None,
        )),
    }
}

const PAGE: &str = concat!(
    "<html>\n<head><title>Lictor</title></head>\n<body>\n<pre>Lictor ",
    env!("CARGO_PKG_VERSION"),
    ": this is a policy decision point that answers OPA's REST API.</pre>\n</body>\n</html>\n"
);
