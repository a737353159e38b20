//! The main listener: one match on method and path, then one file per call.
//!
//! Each serving thread has a [`Handler`] of its own with its own worker; what threads share is read-only or atomic.

mod access;
mod answer;
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

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::api::ErrorCode;
use crate::api::decision::Compliant;
use crate::decide::{Origin, Question, Worker};
use crate::engine::DuplicateMembers;
use crate::identity::Claims;
use crate::model::{Sought, Timestamp};
use crate::server::body::Body;
use crate::server::guard::Guard;
use crate::server::{Bound, Door};

use super::caller::LocalCallers;
use super::header_values::HeaderValues;
use super::metrics::Route;
use super::revision::Wanted;
use super::shared::Shared;

pub use answer::Answer;

use answer::Asking;
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
    values: HeaderValues,
    compliant: RefCell<Compliant>,
    listed: RefCell<facade::Listed>,
}

/// What a decision call works with: its request read, checked and identified.
#[derive(Clone)]
struct Call<'h> {
    handler: &'h Handler,
    body: Bytes,
    now: Timestamp,
    claims: Option<&'h Claims>,
    principal: &'h str,
    explain: bool,
    headers: &'h HeaderMap,
    origin: Origin<'h>,
}

impl Call<'_> {
    fn question(&self) -> Question<'_> {
        Question {
            now: self.now,
            claims: self.claims.map(|claims| claims.json.as_bytes()),
            principal: self.principal,
            duplicates: DuplicateMembers::Refuse,
            explain: self.explain,
            origin: Origin {
                subject: self
                    .claims
                    .map_or(self.origin.subject, |claims| &claims.subject),
                ..self.origin
            },
        }
    }

    /// The decision, of a call that waits for nothing.
    fn decide(self, route: Route, query: Option<&str>) -> Result<Reply, Failure> {
        match route {
            Route::Validate => validate::validate(&self),
            Route::AccessCheck => access::check(&self),
            Route::Consumption => validate::consumption(&self),
            Route::Variant => variant::variant(&self),
            Route::Evaluation => authzen::evaluation(&self),
            Route::SearchSubject => authzen::search(&self, Sought::Subject),
            Route::SearchAction => authzen::search(&self, Sought::Action),
            Route::SearchResource => authzen::search(&self, Sought::Resource),
            Route::EngineConsumption => facade::consumption(&self),
            Route::EngineAccess => facade::access(&self, query),
            Route::EngineResidency => facade::residency(&self),
            Route::EngineReport => facade::report(&self),
            Route::EnginePolicies => facade::policies(&self),
            Route::EngineHealth => Ok(facade::health(&self)),
            Route::Flag => ofrep::flag(&self, self.origin.path),
            Route::Flags => ofrep::flags(&self, self.headers),
            Route::Evaluations
            | Route::Metadata
            | Route::Content
            | Route::Forward
            | Route::ExtAuthz
            | Route::None => Err(Failure::new(ErrorCode::NotFound, "")),
        }
    }
}

impl Asking {
    fn call(&self, body: Bytes) -> Result<Call<'_>, Failure> {
        if body.is_empty() && self.route.has_body() {
            return Err(Failure::new(ErrorCode::InvalidJson, "the body is empty"));
        }
        let (head, door) = (&self.head, &*self.door);
        // Nobody but the log and the spans asks for it.
        let shared = &self.handler.shared;
        let wanted = self.traced && (shared.logs() || shared.spans.is_some());
        let traceparent = wanted.then(|| head.headers.get("traceparent")).flatten();
        Ok(Call {
            handler: &self.handler,
            body,
            now: self.now,
            claims: self.claims.as_deref(),
            principal: door.principal(),
            explain: asks_to_explain(head.uri.query()),
            headers: &head.headers,
            origin: Origin {
                door: self.route.door(),
                path: head.uri.path(),
                request_id: self.request_id.as_bytes(),
                traceparent: traceparent.map_or(b"", HeaderValue::as_bytes),
                peer: door.peer,
                subject: door.principal(),
                ..Origin::UNKNOWN
            },
        })
    }
}

impl Handler {
    /// A handler for the current thread, whose doors share one worker.
    #[must_use]
    pub fn new(shared: Arc<Shared>, worker: Rc<RefCell<Worker>>) -> Self {
        Self {
            worker,
            callers: shared.callers.local(),
            values: HeaderValues::default(),
            compliant: RefCell::default(),
            listed: RefCell::default(),
            shared,
        }
    }

    /// Answers one request; at level `debug` with a line in the log.
    #[must_use]
    #[inline]
    pub fn handle(self: Rc<Self>, request: Request<Incoming>, door: Rc<Door>) -> Answer {
        let (head, incoming) = request.into_parts();
        if tracing::enabled!(tracing::Level::DEBUG) {
            return Answer::boxed(self.logged(head, incoming, door));
        }
        self.answer(head, incoming, door)
    }

    async fn logged(
        self: Rc<Self>,
        head: Parts,
        incoming: Incoming,
        door: Rc<Door>,
    ) -> Response<Body> {
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

    #[inline]
    fn answer(self: Rc<Self>, head: Parts, incoming: Incoming, door: Rc<Door>) -> Answer {
        match route::route(&head.method, head.uri.path()) {
            Routed::To(Route::Forward) => {
                Answer::boxed(
                    async move { self.forward(Route::Forward, head, incoming, &door).await },
                )
            }
            Routed::To(Route::ExtAuthz) => {
                Answer::boxed(async move { self.ext_authz(head, incoming, &door).await })
            }
            Routed::Content(policy) => {
                Answer::boxed(
                    async move { content::answer(&self, policy, head, incoming, &door).await },
                )
            }
            Routed::To(route) => self.decision(route, head, incoming, door),
            Routed::Nowhere => {
                let failure = Failure::new(ErrorCode::NotFound, "");
                Answer::Ready(Some(self.finish(Route::None, head, Err(failure))))
            }
            Routed::Elsehow(allow) => {
                let detail = format!("allowed here: {allow}");
                let mut failure = Failure::new(ErrorCode::MethodNotAllowed, detail);
                failure.allow = Some(allow);
                Answer::Ready(Some(self.finish(Route::None, head, Err(failure))))
            }
        }
    }

    /// A decision, as far as it goes without the body.
    #[inline]
    fn decision(
        self: Rc<Self>,
        route: Route,
        head: Parts,
        incoming: Incoming,
        door: Rc<Door>,
    ) -> Answer {
        let asked = Asked::read(&head.headers, &self.guard(&door));
        let now = self.shared.clock.now();
        let request_id = self.request_id(asked.request_id, now);
        let admitted = self.admitted(route, &head, &asked, &door);
        let credentials = asked.credentials();
        let known = match &admitted {
            Ok(_) => self.callers.known(credentials, now),
            Err(_) => Ok(None),
        };
        let mut asking = Asking {
            wanted: None,
            claims: None,
            handler: self,
            door,
            route,
            now,
            request_id,
            traced: asked.traced,
            head,
        };
        match (admitted, known) {
            (Err(failure), _) => Answer::Ready(Some(asking.reply(Err(failure)))),
            (Ok(wanted), Ok(claims)) => {
                (asking.wanted, asking.claims) = (wanted, claims);
                asking.read(incoming)
            }
            (Ok(wanted), Err(error)) => Answer::boxed(async move {
                asking.wanted = wanted;
                let handler = Rc::clone(&asking.handler);
                let headers = &asking.head.headers;
                match handler.callers.again(error, headers, now).await {
                    Ok(claims) => {
                        asking.claims = claims;
                        asking.read(incoming).await
                    }
                    Err(error) => asking.reply(Err(error.into())),
                }
            }),
        }
    }

    /// What is asked of a decision call before its body is looked at; the revision that it wants.
    fn admitted(
        &self,
        route: Route,
        head: &Parts,
        asked: &Asked<'_>,
        door: &Door,
    ) -> Result<Option<Wanted>, Failure> {
        self.admit(head, asked, door)?;
        asked.check_once()?;
        self.callers.check_tenant(asked.tenant)?;
        if route.has_body() {
            asked.check_content_type()?;
        }
        asked.wanted_revision()
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
            self.values.id(id)
        })
    }

    /// [`Self::reply`] to a request of which nothing was read yet.
    fn finish(&self, route: Route, head: Parts, result: Result<Reply, Failure>) -> Response<Body> {
        let now = self.shared.clock.now();
        let given = head.headers.get(asked::REQUEST_ID);
        let given = given.filter(|id| (1..=asked::MAX_REQUEST_ID).contains(&id.len()));
        let request_id = self.request_id(given, now);
        self.reply(
            route,
            head.uri.path(),
            head.headers,
            request_id,
            now,
            result,
        )
    }

    /// Makes the response; the request's header map is emptied and used again.
    fn reply(
        &self,
        route: Route,
        path: &str,
        mut headers: HeaderMap,
        request_id: HeaderValue,
        now: Timestamp,
        result: Result<Reply, Failure>,
    ) -> Response<Body> {
        let reply = result.unwrap_or_else(|failure| {
            self.shared.metrics.problem(failure.problem.code);
            if route.is_ofrep() {
                ofrep::failure(failure, path)
            } else {
                failure.into_reply(route.is_authzen(), path)
            }
        });
        let age = reply
            .is_decision
            .then(|| self.shared.status.bundle_age(now))
            .flatten();
        let age = age.map(|age| self.values.age(age));
        self.shared.metrics.answered(route, reply.status);
        headers.clear();
        reply.into_response(headers, request_id, age)
    }
}

fn asks_to_explain(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "explain=full"))
}

/// 200 for every decision.
const OK: StatusCode = StatusCode::OK;

#[cfg(test)]
mod tests;
