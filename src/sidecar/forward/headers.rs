//! What changes about a request's head on its way up, and about an answer's on its way back.

use http::header::{
    CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Uri};
use uuid::Uuid;

use crate::spans::TraceContext;

use super::ForwardError;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// RFC 9110, section 7.6.1, and what older software takes for such.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What a caller may not say to the control plane: who came before it, and who it is by any other
/// means than `authorization`. `expect` was answered here, `host` follows from the target.
const DROPPED: [HeaderName; 5] = [
    HOST,
    EXPECT,
    FORWARDED,
    COOKIE,
    HeaderName::from_static("x-internal-api-key"),
];

/// Where a request goes: the base, then its own path and query, as they are.
///
/// # Errors
///
/// [`ForwardError::Path`] for a path that leaves the base.
pub(super) fn target(base: &Uri, asked: &Uri) -> Result<Uri, ForwardError> {
    let leaves = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if asked.path().split('/').any(leaves) {
        return Err(ForwardError::Path);
    }
    let prefix = base.path().trim_end_matches('/');
    let path = asked.path_and_query().map_or("/", |path| path.as_str());
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(
        format!("{prefix}{path}")
            .parse()
            .map_err(|_| ForwardError::Path)?,
    );
    Uri::from_parts(parts).map_err(|_| ForwardError::Path)
}

/// Takes off what is not to go up, and adds what is missing.
pub(super) fn prepare(method: &Method, headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    for name in &DROPPED {
        headers.remove(name);
    }
    let ours: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-lictor-"))
        .cloned()
        .collect();
    for name in ours {
        headers.remove(name);
    }
    if !headers.get(&REQUEST_ID).is_some_and(is_request_id) {
        headers.insert(REQUEST_ID, uuid_value());
    }
    if !headers.get(&TRACEPARENT).is_some_and(is_traceparent) {
        headers.insert(TRACEPARENT, new_traceparent());
    }
    let write = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    if write && !headers.contains_key(&IDEMPOTENCY_KEY) {
        headers.insert(IDEMPOTENCY_KEY, uuid_value());
    }
}

/// Takes off the headers that concern one connection alone, those that `connection` names too.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn is_request_id(value: &HeaderValue) -> bool {
    (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Makes the span of this context the parent of what comes after.
pub(super) fn set_traceparent(headers: &mut HeaderMap, context: &TraceContext) {
    headers.insert(TRACEPARENT, ascii(context.to_string()));
}

fn is_traceparent(value: &HeaderValue) -> bool {
    TraceContext::parse(value.as_bytes()).is_some()
}

fn new_traceparent() -> HeaderValue {
    ascii(TraceContext::root(false).to_string())
}

fn uuid_value() -> HeaderValue {
    ascii(Uuid::new_v4().to_string())
}

/// A value made of text that is known to be visible ASCII.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_a_caller_may_not_say_does_not_go_up() {
        let mut map = headers(&[
            ("authorization", "Bearer t"),
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("cookie", "session=1"),
            ("host", "sidecar"),
            ("expect", "100-continue"),
            ("forwarded", "for=1.2.3.4"),
            ("x-internal-api-key", "k"),
            ("x-lictor-min-revision", "3"),
            ("x-lictor-anything", "3"),
            ("content-type", "application/json"),
            ("if-match", "\"1\""),
        ]);
        prepare(&Method::GET, &mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let expected = [
            "authorization",
            "content-type",
            "if-match",
            "traceparent",
            "x-request-id",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn good_ids_stay_and_bad_ones_are_made_anew() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut map = headers(&[
            ("x-request-id", "abc"),
            ("traceparent", trace),
            ("idempotency-key", "k"),
        ]);
        prepare(&Method::POST, &mut map);
        assert_eq!(map[&REQUEST_ID], "abc");
        assert_eq!(map[&TRACEPARENT], trace);
        assert_eq!(map[&IDEMPOTENCY_KEY], "k");
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "garbage",
        ] {
            let mut map = headers(&[("traceparent", bad), ("x-request-id", "a b")]);
            prepare(&Method::DELETE, &mut map);
            assert!(is_traceparent(&map[&TRACEPARENT]) && map[&TRACEPARENT] != bad);
            assert!(is_request_id(&map[&REQUEST_ID]) && map[&REQUEST_ID] != "a b");
            assert!(map.contains_key(&IDEMPOTENCY_KEY));
        }
    }

    #[test]
    fn the_target_is_the_base_and_the_path_as_asked() {
        let to = |base: &'static str, path: &'static str| {
            target(&Uri::from_static(base), &Uri::from_static(path)).map(|uri| uri.to_string())
        };
        assert_eq!(
            to("https://cp:1/x/", "/api/v1/a%20b/?q=1").unwrap(),
            "https://cp:1/x/api/v1/a%20b/?q=1"
        );
        assert_eq!(
            to("http://cp", "/api/v1/..a").unwrap(),
            "http://cp/api/v1/..a"
        );
        for path in [
            "/api/v1/../x",
            "/api/v1/%2E%2e/x",
            "/api/v1/.",
            "/api/v1/.%2e",
        ] {
            assert!(
                matches!(to("http://cp", path), Err(ForwardError::Path)),
                "{path}"
            );
        }
    }
}
