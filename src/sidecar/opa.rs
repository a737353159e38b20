//! OPA's REST API on the main listener: the calls that a client of OPA makes of a sidecar, answered by our engine.
//!
//! Shapes and texts are OPA 1.22's. What differs is what the tests against a real OPA except, each with its reason
//! (`tests/it/opa_api/requests.rs`).

mod asking;
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

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use crate::decide::{Origin, Question, Worker};
use crate::engine::rego::write_rego_json;
use crate::engine::{DuplicateMembers, RegoValue};
use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::{Door, answer};

use super::caller::LocalCallers;
use super::header_values::HeaderValues;
use super::management::{Live, Management};
use super::shared::Shared;

use asking::Asking;
use body::Form;
use error::Failure;
use metrics::Metrics;
use parameters::Parameters;
use reply::{Content, Reply};
use route::Route;

/// The answer to one request.
pub type Answer = answer::Answer<Asking>;

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
    values: HeaderValues,
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
    claims: Option<&'r Arc<Claims>>,
    /// Unpacked; empty where the call takes none.
    body: Bytes,
    /// The value of the body, where the authorization policy was shown it.
    seen: Option<RegoValue>,
}

impl Call<'_> {
    /// `input` is JSON text for the decision log.
    fn question<'a>(&'a self, path: &'a str, input: &'a [u8]) -> Question<'a> {
        let shared = &self.handler.shared;
        // Nobody but the log and the spans asks for them.
        let is_told = shared.logs() || shared.spans.is_some();
        let header = |name| {
            let value = is_told.then(|| self.head.headers.get(name)).flatten();
            value.map_or(&b""[..], HeaderValue::as_bytes)
        };
        let claims = self.claims;
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
    fn logged(&self, input: Option<&RegoValue>) -> Cow<'static, [u8]> {
        let mut text = Vec::new();
        if let Some(input) = input.filter(|_| self.handler.shared.logs()) {
            let limit = self.handler.shared.limits.body_bytes;
            if !write_rego_json(input, limit, &mut text) {
                text.clear();
            }
        }
        text.into()
    }

    /// Time since the call began, where it asks for that.
    fn elapsed(&self) -> Duration {
        if self.parameters.metrics {
            self.started.elapsed()
        } else {
            Duration::ZERO
        }
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
}

impl Handler {
    /// A handler for the current thread, whose doors share one worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, api: Arc<Api>, worker: Rc<RefCell<Worker>>) -> Self {
        Self {
            worker,
            callers: shared.callers.local(),
            values: HeaderValues::default(),
            shared,
            api,
        }
    }

    /// Answers one request.
    #[must_use]
    pub fn handle(self: Rc<Self>, request: Request<Incoming>, door: Rc<Door>) -> Answer {
        let (head, incoming) = request.into_parts();
        Asking::begin(self, head, incoming, door)
    }
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
        Route::Page => Ok(Reply::other(Content::Html, PAGE.as_bytes().to_vec())),
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
