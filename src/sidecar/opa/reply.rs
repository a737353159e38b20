//! A reply to one of OPA's clients before it has headers, and the headers it gets.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::decide::Answered;
use crate::server::body::Body;
use crate::server::telemetry::METRICS_TEXT;
use crate::sidecar::header_values::HeaderValues;

use super::error::Failure;

const DECISION_ID: HeaderName = HeaderName::from_static("x-lictor-decision-id");
const REVISION: HeaderName = HeaderName::from_static("x-lictor-revision");
const BUNDLE_AGE: HeaderName = HeaderName::from_static("x-lictor-bundle-age");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer request id is not sent back.
const MAX_REQUEST_ID: usize = 256;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Text,
    Html,
    Metrics,
}

impl Content {
    const fn value(self) -> HeaderValue {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
        const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
        const METRICS: HeaderValue = HeaderValue::from_static(METRICS_TEXT);
        match self {
            Self::Json => JSON,
            Self::Text => TEXT,
            Self::Html => HTML,
            Self::Metrics => METRICS,
        }
    }
}

/// What decided, as headers name it.
#[derive(Debug)]
pub(super) struct Decided {
    id: HeaderValue,
    revision: Option<HeaderValue>,
}

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: StatusCode,
    /// None = no body.
    pub content: Option<Content>,
    pub body: Vec<u8>,
    /// Of a decision.
    pub decided: Option<Decided>,
    pub allow: Option<&'static str>,
    pub retry: bool,
}

impl Reply {
    const fn new(status: StatusCode, content: Option<Content>, body: Vec<u8>) -> Self {
        Self {
            status,
            content,
            body,
            decided: None,
            allow: None,
            retry: false,
        }
    }

    /// JSON, which ends with a newline as all of OPA's does.
    pub(super) fn json(status: StatusCode, mut body: Vec<u8>, pretty: bool) -> Self {
        if pretty {
            body = crate::api::opa::indent(&body);
        }
        body.push(b'\n');
        Self::new(status, Some(Content::Json), body)
    }

    /// Any other body.
    pub(super) const fn other(content: Content, body: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, Some(content), body)
    }

    /// Without a body.
    pub(super) const fn empty(status: StatusCode) -> Self {
        Self::new(status, None, Vec::new())
    }

    /// As Go's router says it.
    pub(super) fn router(status: StatusCode, text: &str, allow: Option<&'static str>) -> Self {
        let body = format!("{text}\n").into_bytes();
        Self {
            allow,
            ..Self::new(status, Some(Content::Text), body)
        }
    }

    /// Names what decided.
    pub(super) fn decided_by(mut self, decided: Decided) -> Self {
        self.decided = Some(decided);
        self
    }
}

impl Decided {
    pub(super) fn new(answered: &Answered<'_>, values: &HeaderValues) -> Self {
        Self {
            id: values.id(answered.decision_id),
            revision: values.revision(&answered.snapshot.name),
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        Self {
            retry: failure.retry,
            ..Self::new(
                failure.status,
                Some(Content::Json),
                failure.document.to_vec(),
            )
        }
    }
}

/// How bodies of replies are compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    pub min_length: usize,
    pub level: u32,
}

/// Whether a call's replies may be compressed at all.
pub(super) fn packs(method: &Method, path: &str) -> bool {
    let is_post = *method == Method::POST;
    let is_data = path.starts_with("/v1/data") || path.starts_with("/v0/data");
    (is_data && (is_post || *method == Method::GET)) || (is_post && path.starts_with("/v1/compile"))
}

/// Whether the client takes gzip: a coding `gzip` whose weight is not 0.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let value = headers.get(ACCEPT_ENCODING);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").map(str::parse::<f32>);
            matches!(weight, Some(Ok(weight)) if weight <= 0.0)
        });
        named && !refused
    })
}

impl Reply {
    /// Makes the response; the request's header map is emptied and used again.
    pub(super) fn into_response(
        mut self,
        mut headers: HeaderMap,
        packing: Option<Packing>,
        age: Option<HeaderValue>,
    ) -> Response<Body> {
        let packed = packing.is_some_and(|packing| {
            self.body.len() >= packing.min_length
                && takes_gzip(&headers)
                && self.pack(packing.level).is_ok()
        });
        let request_id = headers
            .remove(REQUEST_ID)
            .filter(|id| id.len() <= MAX_REQUEST_ID);
        headers.clear();
        if let Some(content) = self.content {
            headers.insert(CONTENT_TYPE, content.value());
            if content == Content::Text {
                headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            }
        }
        if packing.is_some() {
            const ACCEPTS: HeaderValue = HeaderValue::from_static("Accept-Encoding");
            headers.insert(VARY, ACCEPTS);
        }
        if packed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(id) = request_id {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(decided) = self.decided {
            headers.insert(DECISION_ID, decided.id);
            if let Some(revision) = decided.revision {
                headers.insert(REVISION, revision);
            }
            if let Some(age) = age {
                headers.insert(BUNDLE_AGE, age);
            }
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.retry {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }

    fn pack(&mut self, level: u32) -> std::io::Result<()> {
        let mut encoder = GzEncoder::new(
            Vec::with_capacity(self.body.len() / 2),
            Compression::new(level.min(9)),
        );
        encoder.write_all(&self.body)?;
        self.body = encoder.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_refused() {
        for (text, expected) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("GZIP", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("*/*", false),
            ("xgzip", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            assert_eq!(takes_gzip(&headers), expected, "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn only_what_opa_compresses_is_compressed() {
        for (method, path, expected) in [
            (Method::POST, "/v1/data/a", true),
            (Method::GET, "/v0/data", true),
            (Method::POST, "/v1/compile", true),
            (Method::GET, "/v1/compile/a", false),
            (Method::PUT, "/v1/data/a", false),
            (Method::GET, "/v1/policies", false),
            (Method::POST, "/", false),
        ] {
            assert_eq!(packs(&method, path), expected, "{method} {path}");
        }
    }
}
