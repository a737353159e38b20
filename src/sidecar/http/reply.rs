//! A reply before it has headers, and the headers every reply gets.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use uuid::Uuid;

use crate::server::body::Body;

use super::asked::REQUEST_ID;

const BUNDLE_AGE: HeaderName = HeaderName::from_static("x-lictor-bundle-age");
const DECISION_ID: HeaderName = HeaderName::from_static("x-lictor-decision-id");
const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const FAILED_OPEN: HeaderName = HeaderName::from_static("x-lictor-failed-open");

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub content_type: HeaderValue,
    pub body: Vec<u8>,
    /// Whether it carries the age of the bundle.
    pub is_decision: bool,
    /// None for most: every request hands its reply on.
    pub rare: Option<Box<Rare>>,
}

/// Headers that few replies have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// For bodies whose shape is not ours.
    pub decision_id: Option<Uuid>,
    pub revision: Option<String>,
    pub failed_open: Option<&'static str>,
    pub etag: Option<String>,
    pub cache_control: Option<&'static str>,
    pub allow: Option<&'static str>,
    /// Seconds.
    pub retry_after: Option<u32>,
    pub challenge: bool,
}

impl Reply {
    /// A decision in a body of ours.
    pub(super) fn decision(body: Vec<u8>) -> Self {
        Self {
            is_decision: true,
            ..Self::json(StatusCode::OK, body)
        }
    }

    /// JSON.
    pub(super) const fn json(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: JSON,
            body,
            is_decision: false,
            rare: None,
        }
    }

    /// With these headers too.
    pub(super) fn with(self, rare: Rare) -> Self {
        Self {
            rare: Some(Box::new(rare)),
            ..self
        }
    }

    /// Fills `headers`, which are empty.
    pub(super) fn into_response(
        self,
        mut headers: HeaderMap,
        request_id: HeaderValue,
        age: Option<HeaderValue>,
    ) -> Response<Body> {
        headers.insert(CONTENT_TYPE, self.content_type);
        headers.insert(REQUEST_ID, request_id);
        if let Some(age) = age {
            headers.insert(BUNDLE_AGE, age);
        }
        if let Some(rare) = self.rare {
            rare.fill(&mut headers);
        }
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

impl Rare {
    fn fill(&self, headers: &mut HeaderMap) {
        if let Some(id) = self.decision_id {
            insert(headers, DECISION_ID, &id.hyphenated().to_string());
        }
        if let Some(revision) = &self.revision {
            insert(headers, REVISION, revision);
        }
        if let Some(reason) = self.failed_open {
            headers.insert(FAILED_OPEN, HeaderValue::from_static(reason));
        }
        if let Some(etag) = &self.etag {
            insert(headers, ETAG, etag);
        }
        if let Some(value) = self.cache_control {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
