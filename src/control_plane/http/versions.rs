//! Versions of a policy.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::ETAG;

use crate::api::ErrorCode;
use crate::control_plane::registry::{Caller, Command, Done, policy_tag, version_tag};

use super::App;
use super::incoming::Incoming;
use super::refusal::Refusal;
use super::shape;
use super::view;
use super::write::{self, Shown};

/// `GET /policies/{policy}/versions`: empty for an unknown policy, as the original answers.
pub async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
) -> Result<Response, Refusal> {
    let Some((policy, rows)) = app.registry.versions(&caller.tenant, &policy).await? else {
        return Ok(axum::Json(Vec::<()>::new()).into_response());
    };
    let shown: Vec<_> = rows.iter().map(view::version).collect();
    if shown.iter().any(Option::is_none) {
        return Err(unreadable());
    }
    Ok(([(ETAG, policy_tag(&policy))], axum::Json(shown)).into_response())
}

/// `POST /policies/{policy}/versions`.
pub async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(policy): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let incoming = Incoming::read(request, app.limits.body_bytes, &app.limits).await?;
    let command = shape::create_version(policy, &incoming)?;
    write::write(&app, caller, &incoming, command, shown).await
}

/// `GET /policies/{policy}/versions/{version}`.
pub async fn get(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((policy, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let row = app
        .registry
        .version(&caller.tenant, &policy, &version)
        .await?;
    let shown = view::version(&row).ok_or_else(unreadable)?;
    Ok(([(ETAG, version_tag(&row))], axum::Json(shown)).into_response())
}

/// `PUT /policies/{policy}/versions/{version}/testing`.
pub async fn set_testing(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((policy, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    let incoming = Incoming::read(request, app.limits.body_bytes, &app.limits).await?;
    let command = Command::SetTesting { policy, version };
    write::write(&app, caller, &incoming, command, shown).await
}

fn shown(done: &Done, _constitutional_hash: &str) -> Shown {
    let row = done.version.as_ref();
    Shown {
        body: row
            .and_then(view::version)
            .and_then(|view| serde_json::to_string(&view).ok())
            .unwrap_or_default(),
        tag: row.map(version_tag).unwrap_or_default(),
    }
}

fn unreadable() -> Refusal {
    Refusal::new(ErrorCode::Internal, "")
}
