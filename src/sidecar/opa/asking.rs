//! A call between its head and its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::Guard as Loaded;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use crate::api::opa::Code;
use crate::identity::Claims;
use crate::model::Timestamp;
use crate::server::answer::{self, Answer, Boxed};
use crate::server::body::{Body, BodyError, Reading};
use crate::server::guard::{Guard, Refusal};
use crate::server::{Bound, Door};
use crate::sidecar::caller::{CallerError, Credentials, TENANT};
use crate::sidecar::config::{OpaAuthentication, OpaAuthorization};
use crate::sidecar::management::Live;
use crate::sidecar::revision::{self, MIN_REVISION, RevisionError, Wanted};

use super::body::{self, Form};
use super::error::Failure;
use super::parameters::Parameters;
use super::reply::{self, Packing, Reply};
use super::route::{self, Label, Route};
use super::{Call, Handler, authorize, dispatch};

/// A call that was admitted, without its body.
pub struct Asking {
    handler: Rc<Handler>,
    /// The configuration that holds for all of it.
    live: Loaded<Arc<Live>>,
    door: Rc<Door>,
    head: Parts,
    form: Form,
    wanted: Option<Wanted>,
    now: Timestamp,
    started: Instant,
    claims: Option<Arc<Claims>>,
}

/// The headers that every call understands, found in one pass.
#[derive(Debug, Default)]
struct Asked<'a> {
    form: Form,
    credentials: Credentials<'a>,
    /// A credential that is there twice.
    twice: Option<CallerError>,
    min_revision: Option<&'a HeaderValue>,
    wait: Option<u64>,
    revision_is_twice: bool,
    /// Why the listener turns this caller away.
    refusal: Option<Refusal>,
}

impl<'a> Asked<'a> {
    fn read(headers: &'a HeaderMap, guard: &Guard<'_>) -> Self {
        let mut asked = Self::default();
        let mut has_type = false;
        let mut has_coding = false;
        for (name, value) in headers {
            let holds = |word: &str| value.to_str().is_ok_and(|value| value.contains(word));
            match name.as_str() {
                "host" => asked.refusal = asked.refusal.or(guard.host(value).err()),
                "origin" => asked.refusal = asked.refusal.or(guard.origin(value).err()),
                // The first of each name counts, as in Go.
                "content-type" if !has_type => {
                    has_type = true;
                    asked.form.yaml = value != "application/json" && holds("yaml");
                }
                "content-encoding" if !has_coding => {
                    has_coding = true;
                    asked.form.gzip = holds("gzip");
                }
                "authorization" => {
                    let given = asked.credentials.authorization.replace(value.as_bytes());
                    if given.is_some() {
                        asked.twice = Some(CallerError::Twice("authorization"));
                    }
                }
                TENANT => {
                    let given = asked.credentials.tenant.replace(value.as_bytes());
                    if given.is_some() {
                        asked.twice = Some(CallerError::Twice(TENANT));
                    }
                }
                MIN_REVISION => {
                    asked.revision_is_twice |= asked.min_revision.replace(value).is_some();
                }
                "prefer" => asked.wait = asked.wait.or(revision::wait(value)),
                _ => {}
            }
        }
        asked
    }

    fn wanted(&self) -> Result<Option<Wanted>, RevisionError> {
        let Some(value) = self.min_revision else {
            return Ok(None);
        };
        if self.revision_is_twice {
            return Err(RevisionError::Twice);
        }
        Wanted::parse(value, self.wait.unwrap_or(0)).map(Some)
    }
}

impl Asking {
    /// Admits a call, as far as its head goes.
    pub(super) fn begin(
        handler: Rc<Handler>,
        head: Parts,
        incoming: Incoming,
        door: Rc<Door>,
    ) -> Answer<Self> {
        let guard = Guard {
            loopback: matches!(&door.bound, Bound::Tcp(address) if address.ip().is_loopback()),
            allowed_origins: &handler.shared.allowed_origins,
        };
        let asked = Asked::read(&head.headers, &guard);
        let admitted = admit(&handler, &head, &asked, &guard);
        let live = handler.api.management.live();
        let mut credentials = asked.credentials;
        // Where tokens are the authorization policy's business they are not looked at here.
        if live.settings.authentication == OpaAuthentication::Token {
            credentials.authorization = None;
        }
        let now = handler.shared.clock.now();
        let known = match (&admitted, &asked.twice) {
            (Ok(_), Some(twice)) => Err(twice.clone()),
            (Ok(_), None) => handler.callers.known(credentials, now),
            (Err(_), _) => Ok(None),
        };
        let mut asking = Self {
            form: asked.form,
            wanted: None,
            claims: None,
            started: Instant::now(),
            handler,
            live,
            door,
            head,
            now,
        };
        match (admitted, known) {
            (Err(failure), _) => asking.refused(failure),
            (Ok(wanted), Ok(claims)) => {
                (asking.wanted, asking.claims) = (wanted, claims);
                asking.read(incoming)
            }
            (Ok(wanted), Err(error)) => Answer::boxed(async move {
                asking.wanted = wanted;
                let callers = &asking.handler.callers;
                match callers.again(error, &asking.head.headers, now).await {
                    Ok(claims) => {
                        asking.claims = claims;
                        asking.read(incoming).await
                    }
                    Err(error) => asking.refused(error.into()).await,
                }
            }),
        }
    }

    fn refused(mut self, failure: Failure) -> Answer<Self> {
        Answer::Ready(Some(self.reply(Err(failure))))
    }

    /// Reads the body, where there is one to look at.
    fn read(mut self, incoming: Incoming) -> Answer<Self> {
        let is_post = self.head.method == Method::POST;
        if self.route().takes_body() || (is_post && self.is_authorized()) {
            let limit = self.live.settings.body_bytes;
            let timeout = self.handler.shared.limits.body_timeout;
            return match Reading::new(incoming, limit, timeout) {
                Ok(reading) => Answer::Reading(reading, self),
                Err(error) => self.refused(Failure::of_body(error)),
            };
        }
        match answer::Asking::answer(&mut self, Ok(Bytes::new())) {
            Ok(response) => Answer::Ready(Some(response)),
            Err(body) => Answer::Boxed(answer::Asking::later(self, body)),
        }
    }

    fn route(&self) -> Route<'_> {
        route::route(&self.head.method, self.head.uri.path())
    }

    /// Whether a policy decides about the call itself.
    fn is_authorized(&self) -> bool {
        self.live.settings.authorization == OpaAuthorization::Basic
    }

    /// The call, once the policy about calls lets it pass.
    fn call(&self, body: Bytes) -> Result<Call<'_>, Failure> {
        let mut call = Call {
            handler: &self.handler,
            live: &self.live,
            head: &self.head,
            door: &self.door,
            parameters: Parameters::read(self.head.uri.query()),
            form: self.form,
            now: self.now,
            started: self.started,
            claims: self.claims.as_ref(),
            body: body::unpack(body, self.form, self.live.settings.gzip_body_bytes)?,
            seen: None,
        };
        if self.is_authorized() {
            let result = authorize::authorize(&mut call);
            let status = result
                .as_ref()
                .map_or_else(|failure| failure.status, |()| StatusCode::OK);
            let metrics = &self.handler.api.metrics;
            let took = self.started.elapsed();
            metrics.answered(Label::Authz, &self.head.method, status, took);
            result?;
        }
        Ok(call)
    }

    fn decide(&self, body: Bytes) -> Result<Reply, Failure> {
        dispatch(&self.call(body)?, self.route())
    }

    /// As [`Self::decide`], from the revision that is wanted on.
    async fn decide_waiting(&self, body: Bytes) -> Result<Reply, Failure> {
        let call = self.call(body)?;
        if let Some(wanted) = self.wanted.filter(|_| self.route().is_decision()) {
            revision::reach(&self.handler.shared, wanted).await?;
        }
        dispatch(&call, self.route())
    }

    /// The request's header map is used again for the response.
    fn reply(&mut self, result: Result<Reply, Failure>) -> Response<Body> {
        let reply = result.unwrap_or_else(Reply::from);
        let took = self.started.elapsed();
        let (method, path) = (&self.head.method, self.head.uri.path());
        if let Some(label) = self.route().label() {
            let metrics = &self.handler.api.metrics;
            metrics.answered(label, method, reply.status, took);
        }
        tracing::debug!(
            %method,
            path,
            status = reply.status.as_u16(),
            duration_us = took.as_micros() as u64,
            "answered"
        );
        let settings = &self.live.settings;
        let packing = reply::packs(method, path).then_some(Packing {
            min_length: settings.gzip_min_length,
            level: settings.gzip_level,
        });
        let age = reply.decided.as_ref().and_then(|_| {
            let age = self.handler.shared.status.bundle_age(self.now)?;
            Some(self.handler.values.age(age))
        });
        let headers = std::mem::take(&mut self.head.headers);
        reply.into_response(headers, packing, age)
    }
}

impl answer::Asking for Asking {
    #[inline]
    fn answer(&mut self, body: Result<Bytes, BodyError>) -> Result<Response<Body>, Bytes> {
        match body {
            Ok(body) if self.wanted.is_some() => Err(body),
            Ok(body) => {
                let result = self.decide(body);
                Ok(self.reply(result))
            }
            Err(error) => Ok(self.reply(Err(Failure::of_body(error)))),
        }
    }

    fn later(mut self, body: Bytes) -> Boxed {
        Box::pin(async move {
            let result = self.decide_waiting(body).await;
            self.reply(result)
        })
    }
}

/// What is asked of every call; the revision that it wants.
fn admit(
    handler: &Handler,
    head: &Parts,
    asked: &Asked<'_>,
    guard: &Guard<'_>,
) -> Result<Option<Wanted>, Failure> {
    let limit = handler.shared.limits.uri_bytes;
    let target = head.uri.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limit) {
        return Err(Failure::new(
            StatusCode::URI_TOO_LONG,
            Code::InvalidParameter,
            format!("the URI is longer than {limit} bytes"),
        ));
    }
    let target = guard.target(&head.uri);
    match target.err().or(asked.refusal) {
        Some(refusal) => Err(Failure::new(
            StatusCode::FORBIDDEN,
            Code::Unauthorized,
            refusal.to_string(),
        )),
        None => Ok(asked.wanted()?),
    }
}
