//! What sidecars report of themselves, and the view over all of a tenant.

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::ErrorCode;
use crate::control_plane::clock;
use crate::control_plane::registry::Caller;
use crate::control_plane::store::sqlite::sidecars::{self, Report};

use super::App;
use super::incoming::Incoming;
use super::refusal::Refusal;

const LONGEST_ID: usize = 253;
const LARGEST_STATUS: usize = 64 * 1024;

/// `PUT /sidecars/{id}/status`: an object, kept in place of the one before.
pub async fn report(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if !(1..=LONGEST_ID).contains(&id.len()) || !id.bytes().all(allowed) {
        return Err(Refusal::shape(
            "",
            format!("a sidecar's id has 1 to {LONGEST_ID} of A-Z, a-z, 0-9, `-`, `_`, `.`, `:`"),
        ));
    }
    let incoming = Incoming::read(request, LARGEST_STATUS, &app.limits).await?;
    let status: Map<String, Value> = incoming.body()?;
    let report = Report {
        id,
        status: Value::Object(status).to_string(),
        reported_at: clock::now(),
    };
    let mut tx = app.registry.store.write().await?;
    sidecars::report(&mut tx, &caller.tenant, &report).await?;
    tx.commit()
        .await
        .map_err(crate::control_plane::store::StoreError::from)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /sidecars`: the last report of each.
pub async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refusal> {
    #[derive(serde::Serialize)]
    struct Shown<'r> {
        id: &'r str,
        reported_at: String,
        status: &'r RawValue,
    }
    let mut read = app.registry.store.read().await?;
    let reports = sidecars::list(&mut read, &caller.tenant).await?;
    let shown = reports
        .iter()
        .map(|report| {
            Ok(Shown {
                id: &report.id,
                reported_at: report.reported_at.to_string(),
                status: serde_json::from_str(&report.status)?,
            })
        })
        .collect::<Result<Vec<_>, serde_json::Error>>()
        .map_err(|error| {
            tracing::error!(%error, "a stored report is no JSON");
            Refusal::new(ErrorCode::Internal, "")
        })?;
    Ok(axum::Json(shown).into_response())
}
