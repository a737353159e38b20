//! Envoy's external authorization over plain HTTP: `/authz` before the path of the request it holds back.
//!
//! 200 and nothing else is a yes. A status below 500 is a no that Envoy hands to the client; 5xx is a failure of ours, to
//! which Envoy's failure mode applies, so that a denial never is one.

use std::time::Instant;

use bumpalo::Bump;
use http::header::{CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::api::ErrorCode;
use crate::api::ext_authz::{CheckRequest, readable};
use crate::api::{PROBLEM_JSON, Problem};
use crate::server::Door;
use crate::server::body::{self, Body, BodyError};
use crate::sidecar::ext_authz::{
    Asked, Decided, DecidedByRego, FAILED_OPEN, Forward, Refusal, decide_by_rego,
};
use crate::sidecar::metrics::{Check, Mode};

use super::Handler;

/// Before the path of the checked request.
pub(super) const PREFIX: &str = "/authz";

const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
const DECISION_ID: HeaderName = HeaderName::from_static("x-lictor-decision-id");
const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const BUNDLE_AGE: HeaderName = HeaderName::from_static("x-lictor-bundle-age");

/// Answers a check.
pub(super) async fn answer(
    handler: &Handler,
    request: Request<Incoming>,
    door: &Door,
) -> Response<Body> {
    let started = Instant::now();
    let checks = &handler.shared.metrics.checks;
    let arena = Bump::new();
    let (head, incoming) = request.into_parts();
    let limits = &handler.shared.limits;
    let body = body::read(incoming, limits.body_bytes, limits.body_timeout).await;
    let mut check = CheckRequest::new(&arena);
    let target = head
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let target = target.strip_prefix(PREFIX).unwrap_or(target);
    check.has_http = true;
    check.http.method = head.method.as_str();
    check.http.path = if target.is_empty() || target.starts_with('?') {
        arena.alloc_str(&format!("/{target}"))
    } else {
        target
    };
    for (name, value) in &head.headers {
        let value = readable(value.as_bytes(), &arena);
        check.http.headers.push((name.as_str(), value));
    }
    check.http.host = check.http.header(HOST.as_str()).unwrap_or_default();
    check.http.scheme = check.http.header("x-forwarded-proto").unwrap_or("http");
    check.http.protocol = "HTTP/1.1";
    let decided = match &body {
        Ok(body) => {
            check.http.size = body.len() as i64;
            check.http.raw_body = body;
            decide(handler, &check, door, &arena).await
        }
        Err(error) => Err(unread(*error)),
    };
    let (response, outcome) = match decided {
        Ok((answer, allowed)) => {
            let response = answer.finish();
            let outcome = if allowed {
                Check::Allowed
            } else {
                Check::Denied(response.status().as_u16())
            };
            (response, outcome)
        }
        Err(refusal) => refused(handler, &Asked::of(&check, door.peer), refusal),
    };
    checks.checked(Mode::Http, outcome, started.elapsed());
    response
}

async fn decide<'a>(
    handler: &Handler,
    check: &'a CheckRequest<'a>,
    door: &Door,
    arena: &'a Bump,
) -> Result<(Answer, bool), Refusal> {
    let shared = &handler.shared;
    let (settings, now) = (&shared.ext_authz, shared.clock.now());
    let asked = Asked::of(check, door.peer);
    if let Some(path) = &settings.path {
        let limits = (shared.limits.input_depth, shared.limits.rego_result_bytes);
        let worker = &mut handler.worker.borrow_mut();
        let decided = decide_by_rego(worker, settings, path, (check, &asked, now), limits)?;
        let allowed = decided.decision.allowed;
        return by_rego(&decided, settings.dry_run).map(|answer| (answer, allowed));
    }
    let claims = asked.identify(&handler.callers, now).await?;
    let age = shared.status.bundle_age(now);
    let (result, allowed) = asked.decide(
        &mut handler.worker.borrow_mut(),
        settings,
        (now, claims.as_deref()),
        arena,
        |decided| {
            let answer = by_rules(decided, age, settings.dry_run);
            (answer, decided.access.access.allowed)
        },
    )?;
    Ok((result?, allowed))
}

/// An answer under way.
struct Answer {
    response: Response<Body>,
    remove: String,
    /// A header that HTTP cannot carry.
    unsendable: bool,
}

impl Answer {
    fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self {
            response,
            remove: String::new(),
            unsendable: false,
        }
    }

    /// A denial: what Envoy would take for a failure is a 403.
    fn denied(status: u16) -> Self {
        let status = StatusCode::from_u16(status).ok();
        let status = status.filter(|status| !status.is_server_error() && *status != StatusCode::OK);
        Self::new(status.unwrap_or(StatusCode::FORBIDDEN))
    }

    fn header(&mut self, name: &str, value: &str) {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.response.headers_mut().append(name, value);
            }
            _ => self.unsendable = true,
        }
    }

    fn remove(&mut self, name: &str) {
        if !self.remove.is_empty() {
            self.remove.push_str(", ");
        }
        self.remove.push_str(name);
    }

    fn body(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        *self.response.body_mut() = Body::from(text.as_bytes().to_vec());
        let headers = self.response.headers_mut();
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
    }

    fn identity(&mut self, id: uuid::Uuid, revision: &str) {
        let headers = self.response.headers_mut();
        set(headers, DECISION_ID, &id.hyphenated().to_string());
        set(headers, REVISION, revision);
    }

    /// The answer, unless it cannot say what the decision says.
    fn checked(self) -> Result<Self, Refusal> {
        if self.unsendable {
            Err(inexpressible("a header that HTTP cannot carry"))
        } else {
            Ok(self)
        }
    }

    fn finish(mut self) -> Response<Body> {
        if !self.remove.is_empty() {
            set(self.response.headers_mut(), REMOVE, &self.remove);
        }
        self.response
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A yes whose conditions this protocol cannot express must not be given.
fn inexpressible(what: &str) -> Refusal {
    Refusal::Unreadable {
        reason: "inexpressible",
        text: format!("the decision asks for {what}: use the gRPC door"),
    }
}

fn by_rules(decided: &Decided<'_, '_>, age: Option<u64>, dry_run: bool) -> Result<Answer, Refusal> {
    let access = decided.access;
    let mut answer = if dry_run {
        Answer::new(StatusCode::OK)
    } else if access.access.allowed {
        if !access.set_query.is_empty() || !access.remove_query.is_empty() {
            return Err(inexpressible("another query"));
        }
        let mut answer = Answer::new(StatusCode::OK);
        decided.forward(|change| match change {
            Forward::Set(name, value) | Forward::Append(name, value) => answer.header(name, value),
            Forward::Remove(name) => answer.remove(name),
        });
        for header in access.response_headers {
            answer.header(header.name, header.value);
        }
        answer
    } else {
        let mut answer = Answer::denied(access.status);
        for header in access.response_headers {
            answer.header(header.name, header.value);
        }
        answer.body(access.body.unwrap_or_default());
        answer
    };
    answer.identity(
        decided.answered.decision_id,
        &decided.answered.snapshot.name,
    );
    if let Some(age) = age {
        set(answer.response.headers_mut(), BUNDLE_AGE, &age.to_string());
    }
    answer.checked()
}

fn by_rego(decided: &DecidedByRego, dry_run: bool) -> Result<Answer, Refusal> {
    let decision = &decided.decision;
    let mut answer = if dry_run {
        Answer::new(StatusCode::OK)
    } else if decision.allowed {
        if !decision.set_query.is_empty() || !decision.remove_query.is_empty() {
            return Err(inexpressible("another query"));
        }
        let mut answer = Answer::new(StatusCode::OK);
        for (name, value) in decision.headers.iter().chain(&decision.response_headers) {
            answer.header(name, value);
        }
        for name in &decision.remove_headers {
            answer.remove(name);
        }
        answer
    } else {
        let mut answer = Answer::denied(decision.status);
        for (name, value) in &decision.headers {
            answer.header(name, value);
        }
        answer.body(&decision.body);
        answer
    };
    answer.identity(decided.decision_id, &decided.revision);
    answer.checked()
}

/// A body that did not come: too large is the client's fault, the rest is nobody's decision.
fn unread(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge(_) => Refusal::Denied {
            status: 413,
            text: error.to_string(),
            challenge: false,
        },
        BodyError::Timeout(_) | BodyError::Broken => Refusal::Failed {
            code: ErrorCode::RequestTimeout,
            text: error.to_string(),
        },
    }
}

/// What is answered where no policy decided.
fn refused(handler: &Handler, asked: &Asked<'_>, refusal: Refusal) -> (Response<Body>, Check) {
    let shared = &handler.shared;
    let checks = &shared.metrics.checks;
    if let Some(reason) = refusal.fails_open().filter(|_| shared.fail_open_access) {
        shared.metrics.failed_open(reason);
        let mut answer = Answer::new(StatusCode::OK);
        answer.header(FAILED_OPEN, reason);
        for name in asked.forged() {
            answer.remove(name);
        }
        return (answer.finish(), Check::FailedOpen);
    }
    let (code, text) = match refusal {
        Refusal::Denied {
            status,
            text,
            challenge,
        } => {
            checks.failed("request_parse_error");
            let mut answer = Answer::denied(status);
            if challenge {
                answer.header(WWW_AUTHENTICATE.as_str(), "Bearer");
            }
            answer.body(&text);
            return (answer.finish(), Check::Denied(status));
        }
        Refusal::Failed { code, text } => {
            checks.failed(code.as_str());
            (code, text)
        }
        Refusal::Unreadable { reason, text } => {
            checks.failed(reason);
            (ErrorCode::Internal, text)
        }
    };
    // Whatever the code says elsewhere, here a failure must look like one.
    let status = StatusCode::from_u16(code.status()).ok();
    let status = status.filter(StatusCode::is_server_error);
    let problem = Problem::new(code, text);
    let mut answer = Answer::new(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE));
    *answer.response.body_mut() = Body::from(problem.at(PREFIX).to_vec());
    answer
        .response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    (answer.finish(), Check::Error)
}
