//! The request headers that every call understands, found in one pass.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::ErrorCode;
use crate::server::guard::{Guard, Refusal};
use crate::sidecar::caller::{self, Credentials};
use crate::sidecar::revision::{self, MIN_REVISION, Wanted};

use super::error::Failure;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A longer request id is replaced: it is echoed and logged.
pub(super) const MAX_REQUEST_ID: usize = 256;

/// The headers of one request.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub content_type: Option<&'a HeaderValue>,
    authorization: Option<&'a [u8]>,
    pub tenant: Option<&'a [u8]>,
    /// The caller's, where it can be echoed.
    pub request_id: Option<&'a HeaderValue>,
    /// Whether the caller's trace goes on here.
    pub traced: bool,
    min_revision: Option<&'a HeaderValue>,
    wait: u64,
    /// A header that may be there only once and is there twice.
    twice: Option<&'a HeaderName>,
    /// Why the listener turns this caller away.
    refusal: Option<Refusal>,
}

impl<'a> Asked<'a> {
    /// Reads them; what is wrong with them is told by [`Self::check_guard`] and [`Self::check_once`].
    pub(super) fn read(headers: &'a HeaderMap, guard: &Guard<'_>) -> Self {
        let mut asked = Self::default();
        for (name, value) in headers {
            let twice = match name.as_str() {
                "host" => {
                    asked.refusal = asked.refusal.or(guard.host(value).err());
                    false
                }
                "content-type" => asked.content_type.replace(value).is_some(),
                "authorization" => asked.authorization.replace(value.as_bytes()).is_some(),
                caller::TENANT => asked.tenant.replace(value.as_bytes()).is_some(),
                MIN_REVISION => asked.min_revision.replace(value).is_some(),
                "x-request-id" => {
                    let fits = (1..=MAX_REQUEST_ID).contains(&value.len());
                    asked.request_id = asked.request_id.or(fits.then_some(value));
                    false
                }
                "traceparent" => {
                    asked.traced = true;
                    false
                }
                "prefer" => {
                    asked.wait = revision::wait(value).unwrap_or(asked.wait);
                    false
                }
                "origin" => {
                    asked.refusal = asked.refusal.or(guard.origin(value).err());
                    false
                }
                _ => false,
            };
            if twice {
                asked.twice = Some(name);
            }
        }
        asked
    }

    /// Whether the listener takes requests from this caller.
    pub(super) fn check_guard(&self) -> Result<(), Failure> {
        self.refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    /// A header that may be there only once and is there twice is an error.
    pub(super) fn check_once(&self) -> Result<(), Failure> {
        self.twice.map_or(Ok(()), |name| {
            let detail = format!("the header `{name}` is there twice");
            Err(Failure::new(ErrorCode::InvalidRequest, detail))
        })
    }

    /// Who asks.
    pub(super) const fn credentials(&self) -> Credentials<'a> {
        Credentials {
            authorization: self.authorization,
            tenant: self.tenant,
        }
    }

    /// The body must say that it is JSON.
    pub(super) fn check_content_type(&self) -> Result<(), Failure> {
        if self
            .content_type
            .is_some_and(|value| value.as_bytes() == b"application/json")
        {
            return Ok(());
        }
        let is_json = self
            .content_type
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
        if is_json {
            Ok(())
        } else {
            Err(Failure::new(
                ErrorCode::UnsupportedMediaType,
                "the content type must be `application/json`",
            ))
        }
    }

    /// The revision asked for.
    pub(super) fn wanted_revision(&self) -> Result<Option<Wanted>, Failure> {
        let wanted = self
            .min_revision
            .map(|value| Wanted::parse(value, self.wait));
        Ok(wanted.transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard<'_> = Guard {
        loopback: true,
        allowed_origins: &[],
    };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn json_is_json_with_parameters_too() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let headers = headers(&[("content-type", value)]);
            let asked = Asked::read(&headers, &GUARD);
            assert_eq!(asked.check_content_type().is_ok(), expected, "{value}");
        }
        assert!(Asked::default().check_content_type().is_err());
    }

    #[test]
    fn a_doubled_header_is_refused() {
        for name in [
            "content-type",
            "authorization",
            "x-tenant-id",
            "x-lictor-min-revision",
        ] {
            let headers = headers(&[(name, "a"), (name, "a")]);
            assert!(
                Asked::read(&headers, &GUARD).check_once().is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_request_id_is_kept_where_it_can_be_echoed() {
        for (value, kept) in [("abc", true), ("", false)] {
            let headers = headers(&[("x-request-id", value)]);
            let asked = Asked::read(&headers, &GUARD);
            assert_eq!(asked.request_id.is_some(), kept, "{value}");
        }
        let mut headers = HeaderMap::new();
        let long = "a".repeat(MAX_REQUEST_ID + 1);
        headers.insert(REQUEST_ID, HeaderValue::from_str(&long).unwrap());
        assert!(Asked::read(&headers, &GUARD).request_id.is_none());
    }

    #[test]
    fn a_foreign_host_or_origin_is_refused() {
        for (name, value, refused) in [
            ("host", "localhost:8181", false),
            ("host", "evil.example", true),
            ("origin", "https://evil.example", true),
        ] {
            let headers = headers(&[(name, value)]);
            let asked = Asked::read(&headers, &GUARD);
            assert_eq!(asked.check_guard().is_err(), refused, "{name}: {value}");
        }
    }
}
