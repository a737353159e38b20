//! Distribution: the tenant's bundle, conditionally, and waiting for the next one.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap as Headers, StatusCode};
use serde_json::json;

use crate::api::ErrorCode;
use crate::control_plane::board::Published;
use crate::control_plane::registry::Caller;
use crate::control_plane::store::sqlite::numbers;

use super::App;
use super::incoming;
use super::refusal::Refusal;

const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const MEDIA_TYPE: &str = "application/vnd.openpolicyagent.bundles";
const LONGEST_WAIT: u64 = 60;

/// `GET /bundles/active`: what is served, and how its publication stands.
pub async fn metadata(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let published = match wait(&app, &caller, request.headers()).await? {
        Waited::Same(tag) => return Ok(not_modified(&tag)),
        Waited::Other(published) => published,
    };
    let mut read = app.registry.store.read().await?;
    let job = numbers::newest_job(&mut read, &caller.tenant).await?;
    let bundle = &published.bundle;
    let digest = format!("sha256:{}", bundle.sha256);
    let created = bundle.issued_at.to_string();
    let body = json!({
        "id": digest,
        "name": format!("{}-active", bundle.tenant),
        "digest": digest,
        "version": bundle.revision,
        "revision": bundle.revision,
        "number": bundle.number,
        "size": bundle.size,
        "status": "active",
        "media_type": MEDIA_TYPE,
        "constitutional_hash": app.constitutional_hash,
        "constitutionalHash": app.constitutional_hash,
        "policies": bundle.policies,
        "signing_key": bundle.kid,
        "tenant_id": bundle.tenant.as_str(),
        "tenantId": bundle.tenant.as_str(),
        "timestamp": created,
        "issued_at": created,
        "expires_at": bundle.expires_at.to_string(),
        "createdAt": created,
        "updatedAt": created,
        "metadata": {},
        "publication": job.map(|job| json!({
            "number": job.number,
            "state": job.state.as_str(),
            "attempts": job.attempts,
            "error": job.error,
        })),
    });
    let mut response = axum::Json(body).into_response();
    describe(response.headers_mut(), &published);
    Ok(response)
}

/// `GET /bundles/active/download` and `GET /policies/bundle`: the bytes.
pub async fn download(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Refusal> {
    let published = match wait(&app, &caller, request.headers()).await? {
        Waited::Same(tag) => return Ok(not_modified(&tag)),
        Waited::Other(published) => published,
    };
    let Some(archive) = published.archive(&app.registry.store).await? else {
        tracing::error!(tenant = %caller.tenant, "the archive of a served bundle is gone");
        return Err(Refusal::new(ErrorCode::Internal, ""));
    };
    let mut response = Response::new(Body::from(archive));
    describe(response.headers_mut(), &published);
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    Ok(response)
}

/// What came of waiting.
enum Waited {
    /// The bundle with this tag, which the caller named, is still served.
    Same(String),
    Other(Arc<Published>),
}

/// Waits, as long as the caller prefers, for a bundle whose tag the caller does not name.
async fn wait(app: &App, caller: &Caller, headers: &Headers) -> Result<Waited, Refusal> {
    let known = incoming::tags(headers, IF_NONE_MATCH.as_str())
        .ok_or_else(|| Refusal::shape("", "`if-none-match` is no list of entity tags"))?;
    let mut following = app.board.follow(&caller.tenant);
    let mut draining = app.draining.clone();
    let deadline = tokio::time::sleep(preferred_wait(headers));
    let _waiting = app.metrics.waiting();
    tokio::pin!(deadline);
    loop {
        let current = following.borrow_and_update().clone();
        if let Some(published) = &current
            && !names(&known, &published.tag())
        {
            return Ok(Waited::Other(Arc::clone(published)));
        }
        tokio::select! {
            changed = following.changed() => if changed.is_ok() { continue },
            () = &mut deadline => {}
            () = draining.started() => {}
        }
        return match current {
            Some(published) => Ok(Waited::Same(published.tag())),
            None => Err(Refusal::new(
                ErrorCode::NotFound,
                "no bundle is published for this tenant: activate a policy first",
            )),
        };
    }
}

/// Weak comparison, as `If-None-Match` has it.
fn names(known: &[String], tag: &str) -> bool {
    known
        .iter()
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// `Prefer: wait=N`, alone or among others: also OPA's `modes=snapshot,delta;wait=N`.
fn preferred_wait(headers: &Headers) -> Duration {
    let seconds = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .find_map(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(0).min(LONGEST_WAIT))
}

fn describe(headers: &mut HeaderMap, published: &Published) {
    if let Ok(tag) = HeaderValue::from_str(&published.tag()) {
        headers.insert(ETAG, tag);
    }
    if let Ok(revision) = HeaderValue::from_str(&published.bundle.revision) {
        headers.insert(REVISION, revision);
    }
    // The tenant comes from the token: no cache may give one tenant's bundle to another.
    headers.insert(VARY, HeaderValue::from_static("authorization"));
}

fn not_modified(tag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_wait_are_understood_and_bounded() {
        let wait = |value: &'static str| {
            let mut headers = Headers::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            preferred_wait(&headers).as_secs()
        };
        assert_eq!(wait("wait=5"), 5);
        assert_eq!(wait("modes=snapshot,delta;wait=7"), 7);
        assert_eq!(wait("respond-async, wait = 9"), 9);
        assert_eq!(wait("wait=100000"), 60);
        for garbage in ["wait", "wait=", "wait=-1", "wait=x", ""] {
            assert_eq!(wait(garbage), 0, "{garbage}");
        }
        assert_eq!(preferred_wait(&Headers::new()).as_secs(), 0);
    }

    #[test]
    fn tags_are_compared_weakly() {
        let known = ["W/\"a\"".to_owned(), "\"b\"".to_owned()];
        assert!(names(&known, "\"a\"") && names(&known, "\"b\""));
        assert!(!names(&known, "\"c\""));
        assert!(names(&["*".to_owned()], "\"c\""));
    }
}
