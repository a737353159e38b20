//! `envoy.service.auth.v3.Authorization`: the message is read where it lies, decided, and the answer written in one pass.

use std::net::SocketAddr;
use std::time::Instant;

use bumpalo::Bump;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::api::ErrorCode;
use crate::api::ext_authz::{
    CheckRequest, Header, Metadata, write_allowed, write_bare, write_denied, write_metadata,
};
use crate::server::Door;
use crate::server::grpc::{self, Body, Deadline, PREFIX, unimplemented};
use crate::sidecar::config::{Append, DynamicMetadata};
use crate::sidecar::ext_authz::{
    Asked, Decided, DecidedByRego, FAILED_OPEN, Forward, Refusal, Settings, decide_by_rego,
};
use crate::sidecar::metrics::{Check, Mode};
use crate::sidecar::revision::MIN_REVISION;

use super::Handler;

pub(super) const SERVICE: &str = "envoy.service.auth.v3.Authorization";
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers a call of the service.
pub(super) async fn answer(
    handler: &Handler,
    request: Request<Incoming>,
    door: &Door,
) -> Result<Response<Body>, Status> {
    if request.uri().path() != CHECK {
        return Ok(unimplemented(request.uri().path()));
    }
    let started = Instant::now();
    let checks = &handler.shared.metrics.checks;
    let result = check(handler, request, door).await;
    match &result {
        Ok((_, outcome)) => checks.checked(Mode::Grpc, *outcome, started.elapsed()),
        Err(Failed { reason, .. }) => {
            checks.checked(Mode::Grpc, Check::Error, started.elapsed());
            checks.failed(reason);
        }
    }
    result
        .map(|(framed, _)| grpc::answer(framed))
        .map_err(|failed| failed.status)
}

/// A check without an answer.
struct Failed {
    status: Status,
    reason: &'static str,
}

impl Failed {
    fn new(status: Status) -> Self {
        let reason = match status.code() {
            Code::DeadlineExceeded => "check_request_timeout",
            Code::Cancelled => "check_request_cancelled",
            Code::FailedPrecondition => ErrorCode::RevisionNotReached.as_str(),
            _ => "invalid_request",
        };
        Self { status, reason }
    }
}

async fn check(
    handler: &Handler,
    request: Request<Incoming>,
    door: &Door,
) -> Result<(Vec<u8>, Check), Failed> {
    let (head, body) = request.into_parts();
    let deadline = Deadline::of(&head.headers).map_err(Failed::new)?;
    let message = grpc::read(body, handler.limits, deadline)
        .await
        .map_err(Failed::new)?;
    if head.headers.contains_key(MIN_REVISION) {
        let reached = handler.reach(&head.headers, deadline).await;
        reached.map_err(Failed::new)?;
    }
    deadline.check().map_err(Failed::new)?;
    let arena = handler.arenas.take();
    let result = decide(handler, &message, deadline, door.peer, &arena).await;
    handler.arenas.put(arena);
    let (mut framed, outcome) = result?;
    grpc::frame(&mut framed);
    Ok((framed, outcome))
}

async fn decide(
    handler: &Handler,
    message: &Bytes,
    deadline: Deadline,
    peer: Option<SocketAddr>,
    arena: &Bump,
) -> Result<(Vec<u8>, Check), Failed> {
    let check = CheckRequest::decode(message, arena)
        .map_err(|error| Failed::new(Status::invalid_argument(error.to_string())))?;
    let shared = &handler.shared;
    let (settings, now) = (&shared.ext_authz, shared.clock.now());
    let asked = Asked::of(&check, peer);
    let decided = if let Some(path) = &settings.path {
        let limits = (shared.limits.input_depth, shared.limits.rego_result_bytes);
        let worker = &mut handler.worker.borrow_mut();
        decide_by_rego(worker, settings, path, (&check, &asked, now), limits)
            .map(|decided| by_rego(&decided, settings))
    } else {
        match asked.identify(&handler.callers, now).await {
            Ok(claims) => {
                deadline.check().map_err(Failed::new)?;
                let age = shared.status.bundle_age(now);
                asked.decide(
                    &mut handler.worker.borrow_mut(),
                    settings,
                    (now, claims.as_deref()),
                    arena,
                    |decided| by_rules(decided, age, settings),
                )
            }
            Err(refusal) => Err(refusal),
        }
    };
    decided.or_else(|refusal| refused(handler, &asked, refusal))
}

/// Room for the prefix of a message, and for most of them.
fn buffer() -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    out.resize(PREFIX, 0);
    out
}

const fn outcome(allowed: bool, status: u16) -> Check {
    if allowed {
        Check::Allowed
    } else {
        Check::Denied(status)
    }
}

fn by_rules(decided: &Decided<'_, '_>, age: Option<u64>, settings: &Settings) -> (Vec<u8>, Check) {
    let (access, dry_run) = (decided.access, settings.dry_run);
    let mut out = buffer();
    if dry_run {
        write_allowed(&mut out, |_| {});
    } else if access.access.allowed {
        write_allowed(&mut out, |allowed| {
            decided.forward(|change| match change {
                Forward::Set(name, value) => allowed.header(Header::Set, name, value),
                Forward::Append(name, value) => allowed.header(Header::Append, name, value),
                Forward::Remove(name) => allowed.remove(name),
            });
            for header in access.response_headers {
                allowed.response_header(Header::Set, header.name, header.value);
            }
            for pair in access.set_query {
                allowed.query(pair.name, pair.value);
            }
            for name in access.remove_query {
                allowed.remove_query(name);
            }
        });
    } else {
        write_denied(&mut out, |denied| {
            denied.status(access.status);
            for header in access.response_headers {
                denied.header(Header::Set, header.name, header.value);
            }
            if let Some(body) = access.body {
                denied.body(body);
            }
        });
    }
    write_metadata(&mut out, |metadata| {
        for (name, json) in access.metadata {
            if !OURS.contains(name)
                && let Ok(value) = serde_json::from_str(json)
            {
                metadata.json(name, &value);
            }
        }
        let (id, revision) = (
            decided.answered.decision_id,
            &decided.answered.snapshot.name,
        );
        identity(metadata, id, revision, settings.metadata);
        if settings.metadata == DynamicMetadata::Full {
            if let Some(age) = age {
                metadata.number("bundle_age", age as f64);
            }
            if let Some((policy, rule)) = decided.rule() {
                metadata.text("policy", policy);
                metadata.text("rule", rule);
            }
        }
        if dry_run {
            metadata.text(
                "dry_run",
                if access.access.allowed {
                    "allow"
                } else {
                    "deny"
                },
            );
        }
        let variants = access.access.variants.iter();
        let mut variants = variants
            .map(|assigned| (assigned.experiment, assigned.variant))
            .peekable();
        if variants.peek().is_some() {
            metadata.texts("variants", variants);
        }
    });
    (out, outcome(access.access.allowed, access.status))
}

/// Members of the metadata that no policy can set.
const OURS: [&str; 8] = [
    "decision_id",
    "revision",
    "bundle_age",
    "policy",
    "rule",
    "dry_run",
    "variants",
    "failed_open",
];

fn identity(metadata: &mut Metadata<'_, '_>, id: Uuid, revision: &str, how: DynamicMetadata) {
    let mut buffer = Uuid::encode_buffer();
    metadata.text("decision_id", id.hyphenated().encode_lower(&mut buffer));
    if how == DynamicMetadata::Full {
        metadata.text("revision", revision);
    }
}

/// The first value of a name replaces what is there, further ones add to it.
fn each(headers: &[(String, String)], how: Append, mut header: impl FnMut(Header, &str, &str)) {
    for (index, (name, value)) in headers.iter().enumerate() {
        let earlier = headers.iter().take(index);
        let how = match how {
            Append::Unset => Header::Unsaid,
            Append::Both => {
                if earlier
                    .clone()
                    .any(|(earlier, _)| earlier.eq_ignore_ascii_case(name))
                {
                    Header::Append
                } else {
                    Header::Set
                }
            }
        };
        header(how, name, value);
    }
}

fn by_rego(decided: &DecidedByRego, settings: &Settings) -> (Vec<u8>, Check) {
    let (decision, append, dry_run) = (&decided.decision, settings.append, settings.dry_run);
    let mut out = buffer();
    if dry_run {
        write_allowed(&mut out, |_| {});
    } else if !decision.is_object {
        write_bare(&mut out, decision.allowed);
    } else if decision.allowed {
        write_allowed(&mut out, |allowed| {
            each(&decision.headers, append, |how, name, value| {
                allowed.header(how, name, value);
            });
            each(&decision.response_headers, append, |how, name, value| {
                allowed.response_header(how, name, value);
            });
            for name in &decision.remove_headers {
                allowed.remove(name);
            }
            for (name, value) in &decision.set_query {
                allowed.query(name, value);
            }
            for name in &decision.remove_query {
                allowed.remove_query(name);
            }
        });
    } else {
        write_denied(&mut out, |denied| {
            denied.status(decision.status);
            each(&decision.headers, append, |how, name, value| {
                denied.header(how, name, value);
            });
            denied.body(&decision.body);
        });
    }
    write_metadata(&mut out, |metadata| {
        for (name, value) in &decision.metadata {
            if !matches!(name.as_str(), "decision_id" | "revision") {
                metadata.json(name, value);
            }
        }
        let (id, revision) = (decided.decision_id, &decided.revision);
        identity(metadata, id, revision, settings.metadata);
    });
    (out, outcome(decision.allowed, decision.status))
}

/// What is answered where no policy decided.
fn refused(
    handler: &Handler,
    asked: &Asked<'_>,
    refusal: Refusal,
) -> Result<(Vec<u8>, Check), Failed> {
    let shared = &handler.shared;
    if let Some(reason) = refusal.fails_open().filter(|_| shared.fail_open_access) {
        shared.metrics.failed_open(reason);
        let mut out = buffer();
        write_allowed(&mut out, |allowed| {
            allowed.header(Header::Set, FAILED_OPEN, reason);
            for name in asked.forged() {
                allowed.remove(name);
            }
        });
        write_metadata(&mut out, |metadata| metadata.text("failed_open", reason));
        return Ok((out, Check::FailedOpen));
    }
    match refusal {
        Refusal::Denied {
            status,
            text,
            challenge,
        } => {
            shared.metrics.checks.failed("request_parse_error");
            let mut out = buffer();
            write_denied(&mut out, |denied| {
                denied.status(status);
                if challenge {
                    denied.header(Header::Set, "www-authenticate", "Bearer");
                }
                denied.body(&text);
            });
            Ok((out, Check::Denied(status)))
        }
        Refusal::Failed { code, text } => Err(Failed {
            status: Status::new(grpc_code(code), text),
            reason: code.as_str(),
        }),
        Refusal::Unreadable { reason, text } => Err(Failed {
            status: Status::unknown(text),
            reason,
        }),
    }
}

const fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::EvaluationBudgetExceeded | ErrorCode::PayloadTooLarge => Code::ResourceExhausted,
        ErrorCode::Internal => Code::Internal,
        _ => Code::Unavailable,
    }
}
