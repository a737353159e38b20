//! A request with its body read, and what can be asked of its headers.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::api::ErrorCode;
use crate::control_plane::config::Limits;
use crate::control_plane::idempotency;
use crate::control_plane::registry::{IdempotencyKey, IfMatch};
use crate::server::body::{self, BodyError};

use super::refusal::Refusal;

/// How much of a body that is too large is taken in, and for how long.
const LINGER_BYTES: usize = 16 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// A whole request.
#[derive(Debug)]
pub struct Incoming {
    pub parts: Parts,
    pub body: Bytes,
}

impl Incoming {
    /// Reads the body, of at most `limit` bytes.
    pub async fn read(
        request: Request<Body>,
        limit: usize,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let (parts, mut body) = request.into_parts();
        match body::read(&mut body, limit, limits.read_timeout).await {
            Ok(body) => Ok(Self { parts, body }),
            Err(error) => {
                if matches!(error, BodyError::TooLarge(_)) {
                    linger(&mut body).await;
                }
                Err(error.into())
            }
        }
    }

    /// The query, as the members of `T`.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        query(&self.parts)
    }

    /// The body as JSON text; an empty one is `{}`.
    pub fn json(&self) -> Result<&str, Refusal> {
        if self.body.is_empty() {
            return Ok("{}");
        }
        let content_type = self.parts.headers.get(CONTENT_TYPE);
        if let Some(content_type) = content_type
            && !content_type.to_str().is_ok_and(is_json)
        {
            return Err(Refusal::new(
                ErrorCode::UnsupportedMediaType,
                "the body must be `application/json`",
            ));
        }
        std::str::from_utf8(&self.body).map_err(|_| Refusal::shape("", "the body is no UTF-8 text"))
    }

    /// The body as the members of `T`.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_str(self.json()?)
            .map_err(|error| Refusal::shape("", format!("the body: {error}")))
    }

    /// `If-Match`.
    pub fn if_match(&self) -> Result<Option<IfMatch>, Refusal> {
        if !self.parts.headers.contains_key(IF_MATCH) {
            return Ok(None);
        }
        let tags = tags(&self.parts.headers, IF_MATCH.as_str())
            .ok_or_else(|| Refusal::shape("", "`if-match` is no list of entity tags"))?;
        Ok(Some(if tags.iter().any(|tag| tag == "*") {
            IfMatch::Any
        } else {
            let strong = tags.into_iter().filter(|tag| !tag.starts_with("W/"));
            IfMatch::Tags(strong.collect())
        }))
    }

    /// `Idempotency-Key`.
    pub fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Refusal> {
        let key = idempotency::key(&self.parts.headers)?;
        Ok(key.map(|key| IdempotencyKey {
            key,
            fingerprint: self.fingerprint(),
        }))
    }

    fn fingerprint(&self) -> String {
        let target = &self.parts.uri;
        idempotency::fingerprint([
            self.parts.method.as_str().as_bytes(),
            target.path().as_bytes(),
            target.query().unwrap_or_default().as_bytes(),
            &self.body,
        ])
    }
}

/// Takes in the rest of a body that is too large: a connection closed over unread bytes is reset, and the
/// caller would never read why.
async fn linger(body: &mut Body) {
    let drained = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            if size > left {
                break;
            }
            left -= size;
        }
    };
    // Who is slower than that is cut off.
    let _ = tokio::time::timeout(LINGER, drained).await;
}

/// The query of a request without a body.
pub fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Refusal> {
    axum::extract::Query::<T>::try_from_uri(&parts.uri)
        .map(|query| query.0)
        .map_err(|error| Refusal::shape("", format!("the query: {}", error.body_text())))
}

/// The entity tags of all headers `name`, with their quotes; None where one is no list of tags.
pub fn tags(headers: &HeaderMap, name: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        let mut rest = value.to_str().ok()?.trim();
        while !rest.is_empty() {
            let end = if rest.starts_with('*') {
                1
            } else {
                let quote = if rest.starts_with("W/\"") { 2 } else { 0 };
                let inside = rest.get(quote..)?.strip_prefix('"')?;
                quote + 1 + inside.find('"')? + 1
            };
            tags.push(rest.get(..end)?.to_owned());
            rest = rest.get(end..)?.trim_start();
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start();
            } else if !rest.is_empty() {
                return None;
            }
        }
    }
    Some(tags)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(headers: &[(&str, &str)], body: &'static str) -> Incoming {
        let mut request = Request::builder().method("POST").uri("/a?b=c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Incoming {
            parts: request.body(()).unwrap().into_parts().0,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn lists_of_tags_are_read_and_garbage_is_not() {
        let read = |value: &str| {
            incoming(&[("if-match", value)], "")
                .if_match()
                .ok()
                .flatten()
        };
        assert_eq!(read("*"), Some(IfMatch::Any));
        assert_eq!(
            read(r#""p1" , W/"p2","p,3""#),
            Some(IfMatch::Tags(vec!["\"p1\"".into(), "\"p,3\"".into()]))
        );
        for garbage in ["p1", "\"p1", "\"p1\" \"p2\"", "W/p", "\"a\",,\"b\""] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
        assert_eq!(incoming(&[], "").if_match().unwrap(), None);
    }

    #[test]
    fn keys_are_read_quoted_and_bare() {
        let read = |value: &str| {
            incoming(&[("idempotency-key", value)], "{}")
                .idempotency_key()
                .map(|key| key.map(|key| key.key))
                .ok()
                .flatten()
        };
        assert_eq!(read("\"abc\""), Some("abc".into()));
        assert_eq!(read("abc"), Some("abc".into()));
        assert_eq!(read("\"\""), None);
        assert_eq!(read(&"x".repeat(256)), None);
        let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
        assert!(incoming(&twice, "").idempotency_key().is_err());
    }

    #[test]
    fn fingerprints_tell_requests_apart() {
        let plain = incoming(&[], "{}").fingerprint();
        assert_eq!(plain, incoming(&[("x", "y")], "{}").fingerprint());
        assert_ne!(plain, incoming(&[], "{} ").fingerprint());
    }

    #[test]
    fn only_json_is_read() {
        let typed = |content_type| incoming(&[("content-type", content_type)], "{}");
        assert!(typed("application/json; charset=utf-8").json().is_ok());
        assert!(typed("application/merge-patch+json").json().is_ok());
        assert_eq!(typed("text/plain").json().unwrap_err().status(), 415);
        assert_eq!(incoming(&[], "").json().unwrap(), "{}");
    }
}
