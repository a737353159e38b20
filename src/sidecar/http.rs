//! The main listener: one match on method and path, then one file per call.
//!
//! Each serving thread has a [`Handler`] of its own with its own worker; what threads share is read-only or atomic.

mod access;
mod asked;
mod authzen;
mod content;
mod error;
mod ext_authz;
mod facade;
mod ofrep;
mod reply;
mod route;
mod validate;
mod variant;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use uuid::Uuid;

use crate::api::ErrorCode;
use crate::decide::{Origin, Question, Worker};
use crate::engine::DuplicateMembers;
use crate::identity::Claims;
use crate::model::{Sought, Timestamp};
use crate::server::body::{self, Body};
use crate::server::guard::Guard;
use crate::server::{Bound, Door};

use super::caller::LocalCallers;
use super::metrics::Route;
use super::revision;
use super::shared::Shared;

use asked::Asked;
use error::Failure;
use reply::Reply;
use route::Routed;

/// Requests that may wait for a revision at a time.
pub const WAITERS: usize = 64;

/// Answers the requests of one thread.
#[derive(Debug)]
pub struct Handler {
    shared: Arc<Shared>,
    worker: Rc<RefCell<Worker>>,
    callers: LocalCallers,
    /// The header with the bundle's age, while that stays the same.
    age: RefCell<(u64, HeaderValue)>,
    request_ids: RefCell<RequestIds>,
}

/// What a decision call works with: its request read, checked and identified.
struct Call<'h> {
    handler: &'h Handler,
    body: Bytes,
    now: Timestamp,
    claims: Option<Arc<Claims>>,
    explain: bool,
    origin: Origin<'h>,
}

impl Call<'_> {
    fn question(&self) -> Question<'_> {
        Question {
            now: self.now,
            claims: self.claims.as_ref().map(|claims| claims.json.as_bytes()),
            duplicates: DuplicateMembers::Refuse,
            explain: self.explain,
            origin: Origin {
                subject: self
                    .claims
                    .as_ref()
                    .map_or(self.origin.subject, |claims| &claims.subject),
                ..self.origin
            },
        }
    }
}

impl Handler {
    /// A handler for the current thread, whose doors share one worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, worker: Rc<RefCell<Worker>>) -> Self {
        Self {
            worker,
            callers: shared.callers.local(),
            age: RefCell::new((0, HeaderValue::from(0))),
            request_ids: RefCell::default(),
            shared,
        }
    }

    /// Answers one request; at level `debug` with a line in the log.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        door: Rc<Door>,
    ) -> Response<Body> {
        let (head, incoming) = request.into_parts();
        if tracing::enabled!(tracing::Level::DEBUG) {
            return Box::pin(self.logged(head, incoming, &door)).await;
        }
        self.answer(head, incoming, &door).await
    }

    async fn logged(&self, head: Parts, incoming: Incoming, door: &Door) -> Response<Body> {
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let started = Instant::now();
        let response = self.answer(head, incoming, door).await;
        let header = |name| response.headers().get(name).and_then(|id| id.to_str().ok());
        tracing::debug!(
            %method,
            path,
            status = response.status().as_u16(),
            request_id = header(asked::REQUEST_ID),
            duration_us = started.elapsed().as_micros() as u64,
            "answered"
        );
        response
    }

    /// Decisions run in this future; what is rare or waits for others is boxed, to keep it small: it is moved around.
    async fn answer(&self, head: Parts, incoming: Incoming, door: &Door) -> Response<Body> {
        let route = match route::route(&head.method, head.uri.path()) {
            Routed::To(Route::Forward) => {
                return Box::pin(self.forward(Route::Forward, head, incoming, door)).await;
            }
            Routed::To(Route::ExtAuthz) => {
                return Box::pin(self.ext_authz(head, incoming, door)).await;
            }
            Routed::Content(policy) => {
                return Box::pin(content::answer(self, policy, head, incoming, door)).await;
            }
            Routed::To(route) => route,
            Routed::Nowhere => {
                let failure = Failure::new(ErrorCode::NotFound, "");
                return self.finish(Route::None, head, Err(failure));
            }
            Routed::Elsehow(allow) => {
                let detail = format!("allowed here: {allow}");
                let mut failure = Failure::new(ErrorCode::MethodNotAllowed, detail);
                failure.allow = Some(allow);
                return self.finish(Route::None, head, Err(failure));
            }
        };
        let asked = Asked::read(&head.headers, &self.guard(door));
        let now = self.shared.clock.now();
        let request_id = self.request_id(asked.request_id, now);
        let origin = Origin {
            door: route.door(),
            path: head.uri.path(),
            request_id: request_id.as_bytes(),
            traceparent: asked.traceparent,
            peer: door.peer,
            subject: door.peer_id.as_deref().unwrap_or_default(),
            ..Origin::UNKNOWN
        };
        let result = match self.admit(&head, &asked, door) {
            Ok(()) => {
                self.decide(route, &head, &asked, incoming, now, origin)
                    .await
            }
            Err(failure) => Err(failure),
        };
        self.reply(route, head, request_id, now, result)
    }

    fn guard(&self, door: &Door) -> Guard<'_> {
        Guard {
            loopback: matches!(&door.bound, Bound::Tcp(address) if address.ip().is_loopback()),
            allowed_origins: &self.shared.allowed_origins,
        }
    }

    /// What is asked of every request, whatever its route.
    fn admit(&self, head: &Parts, asked: &Asked<'_>, door: &Door) -> Result<(), Failure> {
        self.check_length(head)?;
        self.guard(door).target(&head.uri)?;
        asked.check_guard()
    }

    fn check_length(&self, head: &Parts) -> Result<(), Failure> {
        let uri = &head.uri;
        let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
        if length > self.shared.limits.uri_bytes {
            let limit = self.shared.limits.uri_bytes;
            let detail = format!("the URI is longer than {limit} bytes");
            return Err(Failure::new(ErrorCode::UriTooLong, detail));
        }
        Ok(())
    }

    async fn decide(
        &self,
        route: Route,
        head: &Parts,
        asked: &Asked<'_>,
        incoming: Incoming,
        now: Timestamp,
        origin: Origin<'_>,
    ) -> Result<Reply, Failure> {
        asked.check_once()?;
        self.callers.check_tenant(asked.tenant)?;
        if route.has_body() {
            asked.check_content_type()?;
        }
        let claims = self.callers.identify(asked.credentials(), now).await?;
        if route == Route::Metadata {
            return authzen::metadata(self);
        }
        let wanted = asked.wanted_revision()?;
        let limits = &self.shared.limits;
        let body = body::read(incoming, limits.body_bytes, limits.body_timeout).await?;
        if body.is_empty() && route.has_body() {
            return Err(Failure::new(ErrorCode::InvalidJson, "the body is empty"));
        }
        if let Some(wanted) = wanted {
            Box::pin(revision::reach(&self.shared, wanted)).await?;
        }
        let call = Call {
            handler: self,
            body,
            now,
            claims,
            explain: asks_to_explain(head.uri.query()),
            origin,
        };
        match route {
            Route::Validate => validate::validate(&call),
            Route::AccessCheck => access::check(&call),
            Route::Consumption => validate::consumption(&call),
            Route::Variant => variant::variant(&call),
            Route::Evaluation => authzen::evaluation(&call),
            Route::Evaluations => Box::pin(authzen::evaluations(&call)).await,
            Route::SearchSubject => authzen::search(&call, Sought::Subject),
            Route::SearchAction => authzen::search(&call, Sought::Action),
            Route::SearchResource => authzen::search(&call, Sought::Resource),
            Route::EngineConsumption => facade::consumption(&call),
            Route::EngineAccess => facade::access(call, head.uri.query()),
            Route::EngineResidency => facade::residency(&call),
            Route::Flag => ofrep::flag(&call, head.uri.path()),
            Route::Flags => ofrep::flags(&call, &head.headers),
            Route::Metadata | Route::Content | Route::Forward | Route::ExtAuthz | Route::None => {
                Err(Failure::new(ErrorCode::NotFound, ""))
            }
        }
    }

    async fn forward(
        &self,
        route: Route,
        head: Parts,
        incoming: Incoming,
        door: &Door,
    ) -> Response<Body> {
        let asked = Asked::read(&head.headers, &self.guard(door));
        let admitted = self
            .admit(&head, &asked, door)
            .and_then(|()| Ok(self.callers.check_tenant(asked.tenant)?));
        if let Err(failure) = admitted {
            return self.finish(route, head, Err(failure));
        }
        let Some(forwarder) = &self.shared.forwarder else {
            let detail = "this sidecar has no upstream: set `upstream.url`";
            let failure = Failure::new(ErrorCode::UpstreamUnavailable, detail);
            return self.finish(route, head, Err(failure));
        };
        let response = forwarder.forward(Request::from_parts(head, incoming)).await;
        self.shared.metrics.answered(route, response.status());
        response.map(Body::Stream)
    }

    /// The headers are those of the request that is asked about: this listener's rules for callers do not apply.
    async fn ext_authz(&self, head: Parts, incoming: Incoming, door: &Door) -> Response<Body> {
        if let Err(failure) = self.check_length(&head) {
            return self.finish(Route::ExtAuthz, head, Err(failure));
        }
        let response = ext_authz::answer(self, Request::from_parts(head, incoming), door).await;
        let metrics = &self.shared.metrics;
        metrics.answered(Route::ExtAuthz, response.status());
        response
    }

    /// The caller's request id, or a new one.
    fn request_id(&self, given: Option<&HeaderValue>, now: Timestamp) -> HeaderValue {
        given.cloned().unwrap_or_else(|| {
            let id = self.worker.borrow_mut().fresh_id(now);
            self.request_ids.borrow_mut().value(id)
        })
    }

    /// [`Self::reply`] to a request of which nothing was read yet.
    fn finish(&self, route: Route, head: Parts, result: Result<Reply, Failure>) -> Response<Body> {
        let now = self.shared.clock.now();
        let given = head.headers.get(asked::REQUEST_ID);
        let given = given.filter(|id| (1..=asked::MAX_REQUEST_ID).contains(&id.len()));
        let request_id = self.request_id(given, now);
        self.reply(route, head, request_id, now, result)
    }

    /// Makes the response; the request's header map is emptied and used again.
    fn reply(
        &self,
        route: Route,
        head: Parts,
        request_id: HeaderValue,
        now: Timestamp,
        result: Result<Reply, Failure>,
    ) -> Response<Body> {
        let reply = result.unwrap_or_else(|failure| {
            self.shared.metrics.problem(failure.problem.code);
            if route.is_ofrep() {
                ofrep::failure(failure, head.uri.path())
            } else {
                failure.into_reply(route.is_authzen(), head.uri.path())
            }
        });
        let age = reply
            .is_decision
            .then(|| self.shared.status.bundle_age(now))
            .flatten();
        let age = age.map(|age| self.age_header(age));
        self.shared.metrics.answered(route, reply.status);
        let mut headers: HeaderMap = head.headers;
        headers.clear();
        reply.into_response(headers, request_id, age)
    }

    fn age_header(&self, age: u64) -> HeaderValue {
        let mut known = self.age.borrow_mut();
        if known.0 != age {
            *known = (age, HeaderValue::from(age));
        }
        known.1.clone()
    }
}

/// Writes request ids into a block that is used again once all of its values are gone.
#[derive(Debug, Default)]
struct RequestIds(BytesMut);

impl RequestIds {
    /// Ids in a block.
    const BLOCK: usize = 64;

    fn value(&mut self, id: Uuid) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut buffer);
        if self.0.capacity() < text.len() {
            self.0.reserve(text.len() * Self::BLOCK);
        }
        self.0.extend_from_slice(text.as_bytes());
        HeaderValue::from_maybe_shared(self.0.split().freeze())
            .unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

fn asks_to_explain(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "explain=full"))
}

/// 200 for every decision.
const OK: StatusCode = StatusCode::OK;

#[cfg(test)]
mod tests;
