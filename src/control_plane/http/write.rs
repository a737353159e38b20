//! A write, from its request to the answer that is kept for a repeated one.

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::api::{ErrorCode, PROBLEM_JSON};
use crate::control_plane::registry::{Answer, Caller, Command, Done, Order, RegistryError};

use super::App;
use super::incoming::Incoming;
use super::refusal::Refusal;

const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const JSON: &str = "application/json";

/// What a successful write is answered with.
#[derive(Debug)]
pub struct Shown {
    pub body: String,
    pub tag: String,
}

/// Shows what a write did.
pub type Show = fn(&Done, &str) -> Shown;

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    status: u16,
    /// Absent from refusals.
    revision: Option<u64>,
    tag: Option<String>,
    body: String,
}

/// Carries out a write. It goes on when the caller hangs up: a claimed key would stay claimed.
pub async fn write(
    app: &App,
    caller: Caller,
    incoming: &Incoming,
    command: Command,
    show: Show,
) -> Result<Response, Refusal> {
    let order = Order {
        caller,
        command,
        if_match: incoming.if_match()?,
        idempotency: incoming.idempotency_key()?,
    };
    let uri = incoming.parts.uri.clone();
    let app = app.clone();
    let running = tokio::spawn(async move {
        let hash = app.constitutional_hash.clone();
        let encode = move |result: &Result<Done, RegistryError>| keep(result, &uri, &hash, show);
        app.registry.execute(&order, &encode).await
    });
    match running.await.map_err(RegistryError::from)?? {
        Answer::Fresh(text) => respond(&text, false),
        Answer::Replayed(text) => respond(&text, true),
    }
}

fn keep(result: &Result<Done, RegistryError>, uri: &Uri, hash: &str, show: Show) -> String {
    let kept = match result {
        Ok(done) => {
            let shown = show(done, hash);
            Kept {
                status: 200,
                revision: Some(done.number),
                tag: Some(shown.tag),
                body: shown.body,
            }
        }
        Err(error) => {
            let refusal = Refusal::from_refused(error).at(uri);
            Kept {
                status: refusal.status(),
                revision: None,
                tag: None,
                body: refusal.text(),
            }
        }
    };
    serde_json::json!(kept).to_string()
}

fn respond(text: &str, replayed: bool) -> Result<Response, Refusal> {
    let broken = || Refusal::new(ErrorCode::Internal, "");
    let kept: Kept = serde_json::from_str(text).map_err(|_| broken())?;
    let status = StatusCode::from_u16(kept.status).map_err(|_| broken())?;
    let mut headers = HeaderMap::new();
    let content_type = if status.is_success() {
        JSON
    } else {
        PROBLEM_JSON
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(revision) = kept.revision {
        headers.insert(REVISION, HeaderValue::from(revision));
    }
    if let Some(tag) = kept.tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(ETAG, tag);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok((status, headers, kept.body).into_response())
}
