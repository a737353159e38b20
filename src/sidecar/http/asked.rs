//! The request headers that every call understands, found in one pass.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::api::ErrorCode;
use crate::model::Revision;
use crate::sidecar::caller::{self, Credentials};

use super::error::Failure;

pub(super) const TENANT: HeaderName = HeaderName::from_static(caller::TENANT);
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MIN_REVISION: HeaderName = HeaderName::from_static("x-lictor-min-revision");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// A longer request id is replaced: it is echoed and logged.
const MAX_REQUEST_ID: usize = 256;
/// Seconds that a request may ask to wait.
const MAX_WAIT: u64 = 30;

/// The headers of one request.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    pub content_type: Option<&'a HeaderValue>,
    authorization: Option<&'a [u8]>,
    pub tenant: Option<&'a [u8]>,
    min_revision: Option<&'a HeaderValue>,
    wait: u64,
}

/// From which revision on a request wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub number: u64,
    /// Seconds it will wait for it.
    pub wait: u64,
}

impl<'a> Asked<'a> {
    /// Reads them; a header that may be there only once and is there twice is an error.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Failure> {
        let mut asked = Self::default();
        for (name, value) in headers {
            let twice = if name == CONTENT_TYPE {
                asked.content_type.replace(value).is_some()
            } else if name == AUTHORIZATION {
                asked.authorization.replace(value.as_bytes()).is_some()
            } else if name == TENANT {
                asked.tenant.replace(value.as_bytes()).is_some()
            } else if name == MIN_REVISION {
                asked.min_revision.replace(value).is_some()
            } else {
                if name == PREFER {
                    asked.wait = wait(value).unwrap_or(asked.wait);
                }
                false
            };
            if twice {
                let detail = format!("the header `{name}` is there twice");
                return Err(Failure::new(ErrorCode::InvalidRequest, detail));
            }
        }
        Ok(asked)
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

    /// The revision asked for: a number, or a whole revision.
    pub(super) fn wanted_revision(&self) -> Result<Option<Wanted>, Failure> {
        let Some(value) = self.min_revision else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default();
        let number = text
            .parse::<i64>()
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .or_else(|| {
                text.parse::<Revision>()
                    .ok()
                    .map(|revision| revision.number)
            });
        match number {
            Some(number) => Ok(Some(Wanted {
                number,
                wait: self.wait.min(MAX_WAIT),
            })),
            None => Err(Failure::new(
                ErrorCode::InvalidRequest,
                "`x-lictor-min-revision` must be a number or a revision",
            )),
        }
    }
}

fn wait(prefer: &HeaderValue) -> Option<u64> {
    prefer
        .to_str()
        .ok()?
        .split([',', ';'])
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let value = value.trim().trim_matches('"');
            name.trim()
                .eq_ignore_ascii_case("wait")
                .then(|| value.parse().ok())?
        })
}

/// The caller's request id, or a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(REQUEST_ID) {
        Some(id) if !id.is_empty() && id.len() <= MAX_REQUEST_ID => id.clone(),
        _ => {
            let mut buffer = Uuid::encode_buffer();
            let text = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let asked = Asked::read(&headers).unwrap();
            assert_eq!(asked.check_content_type().is_ok(), expected, "{value}");
        }
        assert!(Asked::default().check_content_type().is_err());
    }

    #[test]
    fn a_revision_is_asked_for_in_both_forms() {
        for (value, prefer, expected) in [
            ("7", "wait=3", Some(Wanted { number: 7, wait: 3 })),
            (
                "7-0123456789ab",
                "respond-async, wait=90",
                Some(Wanted {
                    number: 7,
                    wait: 30,
                }),
            ),
            ("7", "waiting=3", Some(Wanted { number: 7, wait: 0 })),
            ("-7", "", None),
            ("seven", "", None),
        ] {
            let headers = headers(&[("x-lictor-min-revision", value), ("prefer", prefer)]);
            let wanted = Asked::read(&headers).unwrap().wanted_revision();
            assert_eq!(wanted.ok().flatten(), expected, "{value}");
        }
    }

    #[test]
    fn a_doubled_header_is_refused() {
        for name in [
            "content-type",
            "authorization",
            "x-tenant-id",
            "x-lictor-min-revision",
        ] {
            assert!(
                Asked::read(&headers(&[(name, "a"), (name, "a")])).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn request_ids_are_kept_or_made() {
        assert_eq!(request_id(&headers(&[("x-request-id", "abc")])), "abc");
        let made = request_id(&HeaderMap::new());
        assert!(Uuid::parse_str(made.to_str().unwrap()).is_ok());
    }
}
