//! Policies: list, make, show, activate, verify, and the content a client gets.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ETAG};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::ErrorCode;
use crate::control_plane::clock;
use crate::control_plane::registry::{Caller, Done, Effect, Page, RegistryError, policy_tag};
use crate::control_plane::store::PolicyStatus;
use crate::engine::{
    AccessRequest, Context, DuplicateMembers, EvaluateError, Limits, Program, Scratch,
};
use crate::model::AccessReason;

use super::App;
use super::incoming::{self, Incoming};
use super::refusal::Refusal;
use super::shape;
use super::view;
use super::write::{self, Shown};

const MOST_LISTED: u32 = 1000;

#[derive(Debug, Deserialize)]
struct ListQuery {
    status: Option<String>,
    limit: Option<u32>,
    offset: Option<u32>,
}

/// `GET /policies`: a page as a bare array; `x-total-count` says how many there are.
pub async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let query: ListQuery = incoming::query(&parts)?;
    let status = query
        .status
        .map(|word| {
            PolicyStatus::parse(&word).ok_or_else(|| {
                Refusal::shape("/status", "must be active, draft, deprecated or archived")
            })
        })
        .transpose()?;
    let page = Page {
        limit: query.limit.unwrap_or(MOST_LISTED).min(MOST_LISTED),
        offset: query.offset.unwrap_or(0),
    };
    let (rows, total) = app.registry.policies(&caller.tenant, status, page).await?;
    let shown: Vec<_> = rows
        .iter()
        .map(|row| view::policy(row, &app.constitutional_hash))
        .collect();
    Ok(([("x-total-count", total.to_string())], axum::Json(shown)).into_response())
}

/// `POST /policies`.
pub async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let incoming = Incoming::read(request, app.limits.body_bytes, &app.limits).await?;
    let command = shape::create_policy(&incoming)?;
    write::write(&app, caller, &incoming, command, |done, hash| {
        shown(done, hash, None)
    })
    .await
}

/// `GET /policies/{policy}`.
pub async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
) -> Result<Response, Refusal> {
    let row = app.registry.policy(&caller.tenant, &policy).await?;
    let tag = policy_tag(&row);
    let shown = view::policy(&row, &app.constitutional_hash);
    Ok(([(ETAG, tag)], axum::Json(shown)).into_response())
}

/// `PUT /policies/{policy}/activate`.
pub async fn activate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let incoming = Incoming::read(request, app.limits.body_bytes, &app.limits).await?;
    let command = shape::activate(policy, &incoming)?;
    write::write(&app, caller, &incoming, command, |done, hash| {
        let version = done
            .version
            .as_ref()
            .map_or("", |version| version.version.as_str());
        let what = match done.effect {
            Effect::Nothing => "is active already",
            Effect::Registry | Effect::Bundle => "activated",
        };
        let message = format!("Policy {} version {version} {what}", done.policy.id);
        shown(done, hash, Some(message))
    })
    .await
}

/// The policy, with what its new or activated version decides.
fn shown(done: &Done, constitutional_hash: &str, message: Option<String>) -> Shown {
    let mut body = view::policy(&done.policy, constitutional_hash);
    if let Value::Object(members) = &mut body {
        if let Some(version) = &done.version {
            members.insert("decides".into(), version.decides.as_str().into());
            members.insert("content_hash".into(), version.content_hash.as_str().into());
        }
        if let Some(message) = message {
            members.insert("message".into(), message.into());
        }
    }
    Shown {
        body: body.to_string(),
        tag: policy_tag(&done.policy),
    }
}

#[derive(Debug, Deserialize)]
struct ContentQuery {
    client_id: Option<String>,
}

/// `GET /policies/{policy}/content`: the content itself.
pub async fn content(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let query: ContentQuery = incoming::query(&parts)?;
    let client = query.client_id.as_deref();
    let row = app
        .registry
        .version_for(&caller.tenant, &policy, client)
        .await?;
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (ETAG, format!("\"sha256:{}\"", row.content_hash)),
    ];
    Ok((headers, row.content).into_response())
}

/// `POST /policies/{policy}/verify`: a version's signature, a decision of the active version, or both.
pub async fn verify(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let incoming = Incoming::read(request, app.limits.body_bytes, &app.limits).await?;
    let asked = shape::verify(&incoming)?;
    let mut body = json!({"policy_id": policy});
    let Value::Object(members) = &mut body else {
        return Err(Refusal::new(ErrorCode::Internal, ""));
    };
    if let Some(version) = asked.version {
        let holds = app
            .registry
            .signature_holds(&caller.tenant, &policy, &version)
            .await?;
        members.insert("version".into(), version.into());
        members.insert("signature_valid".into(), holds.into());
    }
    if let Some(input) = asked.input {
        let (version, program) = app.registry.active_program(&caller.tenant, &policy).await?;
        let decided = tokio::task::spawn_blocking(move || {
            evaluate(&program, &version.decides, input.as_bytes())
        })
        .await
        .map_err(RegistryError::from)??;
        members.insert("evaluated_version".into(), version.version.into());
        if let Value::Object(decided) = decided {
            members.extend(decided);
        }
    }
    Ok(axum::Json(body).into_response())
}

/// What the policy decides about an input.
fn evaluate(program: &Program, decides: &str, input: &[u8]) -> Result<Value, Refusal> {
    let context = Context {
        now: clock::now(),
        claims: None,
        principal: "",
        duplicates: DuplicateMembers::Refuse,
        explain: false,
        limits: Limits::default(),
    };
    let scratch = Scratch::default();
    match decides {
        "validation" => {
            let decision = program
                .validate(input, &context, &scratch)
                .map_err(|error| refuse(&error))?;
            let violations: Vec<_> = decision
                .violations
                .iter()
                .map(|violation| {
                    json!({
                        "severity": violation.severity.as_str(),
                        "message": violation.message,
                        "remediation": violation.remediation,
                        "field": violation.field,
                        "actual_value": violation.actual,
                        "expected_value": violation.expected,
                    })
                })
                .collect();
            let reason = decision.violations.first().map(|first| first.message);
            Ok(json!({
                "allowed": decision.compliant(),
                "reason": reason,
                "violations": violations,
            }))
        }
        "access" => {
            let decision = program
                .access(AccessRequest::Document(input), &context, &scratch)
                .map_err(|error| refuse(&error))?;
            let reason = match &decision.reason {
                AccessReason::Allowed { rule, .. } => format!("allowed by `{rule}`"),
                AccessReason::Denied { rule, reason, .. } => {
                    reason.map_or_else(|| format!("denied by `{rule}`"), ToOwned::to_owned)
                }
                AccessReason::NoMatch | AccessReason::NoPolicy => "no rule matches".into(),
                AccessReason::Blocked { .. } => "the subject is blocked".into(),
                AccessReason::Requirement { text, .. } => (*text).to_owned(),
            };
            Ok(json!({"allowed": decision.allowed, "reason": reason, "violations": []}))
        }
        _ => Err(Refusal::new(
            ErrorCode::Conflict,
            "the active version decides neither validation nor access, so there is nothing to evaluate",
        )),
    }
}

fn refuse(error: &EvaluateError) -> Refusal {
    match error {
        EvaluateError::BudgetExceeded { .. } => {
            Refusal::new(ErrorCode::EvaluationBudgetExceeded, error.to_string())
        }
        _ => Refusal::shape("/input", error.to_string()),
    }
}
