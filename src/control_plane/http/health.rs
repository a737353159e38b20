//! Health, without a token and without a tenant's name; and the metrics page.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::control_plane::store::sqlite::numbers;
use crate::server::telemetry;

use super::App;

const SERVICE: &str = "policy-registry";

/// `GET /health/live`: the process answers.
pub async fn live() -> Response {
    axum::Json(json!({"status": "alive", "service": SERVICE})).into_response()
}

/// `GET /health`: the SDKs' question.
pub async fn summary(State(app): State<App>) -> Response {
    let (status, word) = state(&app, backlog(&app).await.is_some());
    let body = json!({
        "status": word,
        "service": SERVICE,
        "version": env!("CARGO_PKG_VERSION"),
        "constitutionalHash": app.constitutional_hash,
    });
    (status, axum::Json(body)).into_response()
}

/// `GET /health/ready`: the store answers, and no shutdown has begun.
pub async fn ready(State(app): State<App>) -> Response {
    let (status, word) = state(&app, backlog(&app).await.is_some());
    let word = if word == "healthy" { "ready" } else { word };
    let body = json!({
        "status": word,
        "service": SERVICE,
        "cache": {},
        "connections": {},
    });
    (status, axum::Json(body)).into_response()
}

/// `GET /health/details`: every part, with a score from 0.0 to 1.0.
pub async fn details(State(app): State<App>) -> Response {
    let backlog = backlog(&app).await;
    let (status, word) = state(&app, backlog.is_some());
    let (pending, failing) = backlog.unwrap_or_default();
    let publication = match (backlog, failing) {
        (None, _) => "unknown",
        (Some(_), 0) => "ok",
        (Some(_), _) => "failing",
    };
    let (score, word) = match (status, publication) {
        (StatusCode::OK, "ok") => (1.0, word),
        (StatusCode::OK, _) => (0.5, "degraded"),
        _ => (0.0, word),
    };
    let body = json!({
        "status": word,
        "service": SERVICE,
        "version": env!("CARGO_PKG_VERSION"),
        "constitutionalHash": app.constitutional_hash,
        "score": score,
        "parts": {
            "store": if backlog.is_some() { "ok" } else { "failing" },
            "publication": {"state": publication, "pending": pending, "failing": failing},
        },
        "cache_stats": Value::Object(serde_json::Map::new()),
        "connection_stats": Value::Object(serde_json::Map::new()),
    });
    (status, axum::Json(body)).into_response()
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<App>) -> Response {
    let headers = [(CONTENT_TYPE, telemetry::METRICS_TEXT)];
    (headers, app.metrics.page()).into_response()
}

/// Pending and failing jobs; None where the store does not answer.
async fn backlog(app: &App) -> Option<(i64, i64)> {
    let mut read = app.registry.store.read().await.ok()?;
    numbers::backlog(&mut read).await.ok()
}

fn state(app: &App, store_answers: bool) -> (StatusCode, &'static str) {
    if app.draining.has_started() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if store_answers {
        (StatusCode::OK, "healthy")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    }
}
