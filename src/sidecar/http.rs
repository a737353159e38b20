//! The main listener: one match on method and path, then one file per call.
//!
//! Each serving thread has a [`Handler`] of its own with its own worker; what threads share is read-only or atomic.

mod access;
mod asked;
mod authzen;
mod content;
mod error;
mod ext_authz;
mod ofrep;
mod reply;
mod revision;
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
use crate::decide::{Origin, Question, Worker};
use crate::engine::DuplicateMembers;
use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::body::{self, Body};
use crate::server::{Bound, Door, guard};

use super::caller::LocalCallers;
use super::shared::Shared;

use asked::Asked;
use error::Failure;
use reply::Reply;
use route::{Route, Routed};

/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";

/// Requests that may wait for a revision at a time.
pub const WAITERS: usize = 64;

/// Answers the requests of one thread.
#[derive(Debug)]
pub struct Handler {
    shared: Arc<Shared>,
    worker: Rc<RefCell<Worker>>,
    callers: LocalCallers,
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
            shared,
        }
    }

    /// Answers one request; at level `debug` with a line in the log.
    pub async fn handle(
        self: Rc<Self>,
        request: Request<Incoming>,
        door: Rc<Door>,
    ) -> Response<Body> {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return self.dispatch(request, &door).await;
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let started = Instant::now();
        let response = self.dispatch(request, &door).await;
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

    async fn dispatch(&self, request: Request<Incoming>, door: &Door) -> Response<Body> {
        match route::route(request.method(), request.uri().path()) {
            Routed::To(route) => self.answer(route, request, door).await,
            Routed::Nowhere => {
                let failure = Failure::new(ErrorCode::NotFound, "");
                self.refuse(Route::None, request, failure, None)
            }
            Routed::Elsehow(allow) => {
                let detail = format!("allowed here: {allow}");
                let failure = Failure::new(ErrorCode::MethodNotAllowed, detail);
                self.refuse(Route::None, request, failure, Some(allow))
            }
        }
    }

    async fn answer(
        &self,
        route: Route,
        request: Request<Incoming>,
        door: &Door,
    ) -> Response<Body> {
        if let Err(failure) = self.admit(route, &request, door) {
            return self.refuse(route, request, failure, None);
        }
        match route {
            Route::Forward => self.forward(route, request).await,
            Route::ExtAuthz => {
                let response = ext_authz::answer(self, request).await;
                let metrics = &self.shared.metrics;
                metrics.answered(route.index(), response.status());
                response
            }
            Route::Content(policy) => content::answer(self, route, policy, request).await,
            _ => {
                let (head, incoming) = request.into_parts();
                let request_id = asked::request_id(&head.headers);
                let origin = Origin {
                    door: route.door(),
                    path: head.uri.path(),
                    request_id: request_id.as_bytes(),
                    traceparent: head
                        .headers
                        .get(TRACEPARENT)
                        .map_or(b"", |value| value.as_bytes()),
                    peer: door.peer,
                    subject: door.peer_id.as_deref().unwrap_or_default(),
                    ..Origin::UNKNOWN
                };
                let result = self.decide(route, &head, incoming, origin).await;
                self.reply(route, head, request_id, result)
            }
        }
    }

    /// What is asked of every request, whatever its route.
    fn admit(&self, route: Route, request: &Request<Incoming>, door: &Door) -> Result<(), Failure> {
        let uri = request.uri();
        let length = uri.path_and_query().map_or(0, |path| path.as_str().len());
        if length > self.shared.limits.uri_bytes {
            let limit = self.shared.limits.uri_bytes;
            let detail = format!("the URI is longer than {limit} bytes");
            return Err(Failure::new(ErrorCode::UriTooLong, detail));
        }
        if route == Route::ExtAuthz {
            // These are the headers of the request that is asked about.
            return Ok(());
        }
        let loopback = matches!(&door.bound, Bound::Tcp(address) if address.ip().is_loopback());
        guard::check(
            request.headers(),
            uri,
            loopback,
            &self.shared.allowed_origins,
        )
        .map_err(|refusal| Failure::new(ErrorCode::PermissionDenied, refusal.to_string()))
    }

    async fn decide(
        &self,
        route: Route,
        head: &Parts,
        incoming: Incoming,
        origin: Origin<'_>,
    ) -> Result<Reply, Failure> {
        let asked = Asked::read(&head.headers)?;
        self.callers.check_tenant(asked.tenant)?;
        // OFREP's clients may send nothing at all, which is an empty context.
        if route != Route::Metadata && !route.is_ofrep() {
            asked.check_content_type()?;
        }
        let now = self.shared.clock.now();
        let claims = self.callers.identify(asked.credentials(), now).await?;
        if route == Route::Metadata {
            return authzen::metadata(self);
        }
        let explain = asks_to_explain(head.uri.query());
        let wanted = asked.wanted_revision()?;
        let limits = &self.shared.limits;
        let body = body::read(incoming, limits.body_bytes, limits.body_timeout)
            .await
            .map_err(Failure::from)?;
        if body.is_empty() && !route.is_ofrep() {
            return Err(Failure::new(ErrorCode::InvalidJson, "the body is empty"));
        }
        if let Some(wanted) = wanted {
            revision::reach(&self.shared, wanted).await?;
        }
        let call = Call {
            handler: self,
            body,
            now,
            claims,
            explain,
            origin,
        };
        match route {
            Route::Validate => validate::validate(&call),
            Route::AccessCheck => access::check(&call),
            Route::Consumption => validate::consumption(&call),
            Route::Variant => variant::variant(&call),
            Route::Evaluation => authzen::evaluation(&call),
            Route::Evaluations => authzen::evaluations(&call).await,
            Route::Flag => ofrep::flag(&call, head.uri.path()),
            Route::Flags => ofrep::flags(&call, &head.headers),
            Route::Metadata
            | Route::Content(_)
            | Route::Forward
            | Route::ExtAuthz
            | Route::None => Err(Failure::new(ErrorCode::NotFound, "")),
        }
    }

    async fn forward(&self, route: Route, request: Request<Incoming>) -> Response<Body> {
        if let Some(tenant) = request.headers().get(asked::TENANT)
            && let Err(error) = self.callers.check_tenant(Some(tenant.as_bytes()))
        {
            return self.refuse(route, request, error.into(), None);
        }
        let Some(forwarder) = &self.shared.forwarder else {
            let detail = "this sidecar has no upstream: set `upstream.url`";
            let failure = Failure::new(ErrorCode::UpstreamUnavailable, detail);
            return self.refuse(route, request, failure, None);
        };
        let response = forwarder.forward(request).await;
        self.shared
            .metrics
            .answered(route.index(), response.status());
        response.map(Body::Stream)
    }

    fn refuse(
        &self,
        route: Route,
        request: Request<Incoming>,
        failure: Failure,
        allow: Option<&'static str>,
    ) -> Response<Body> {
        let (head, _) = request.into_parts();
        let mut failure = failure;
        failure.allow = allow;
        let request_id = asked::request_id(&head.headers);
        self.reply(route, head, request_id, Err(failure))
    }

    /// Makes the response; the request's header map is emptied and used again.
    fn reply(
        &self,
        route: Route,
        head: Parts,
        request_id: HeaderValue,
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
            .then(|| self.shared.status.bundle_age(self.shared.clock.now()))
            .flatten();
        self.shared.metrics.answered(route.index(), reply.status);
        let mut headers: HeaderMap = head.headers;
        headers.clear();
        reply.into_response(headers, request_id, age)
    }
}

fn asks_to_explain(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|pair| pair == "explain=full"))
}

/// 200 for every decision.
const OK: StatusCode = StatusCode::OK;
