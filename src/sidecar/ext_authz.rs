//! Envoy's external authorization, as both of its doors ask it: a request that Envoy holds back comes in, a decision and
//! what it changes goes out.
//!
//! The decision is that of the native HTTP rules or, where a path is configured, of a Rego document. What a rule lets a
//! request carry on cannot be forged by a client: a header that a loaded rule can set, or one of ours, is removed
//! wherever this decision does not set it.

mod grpc_body;
mod input;
mod multipart;
mod native;
mod rego;
mod result;
mod settings;

pub use native::{Decided, FAILED_OPEN, Forward};
pub use rego::{DecidedByRego, RegoDecision, decide as decide_by_rego};
pub use settings::{Settings, SettingsError};

use std::net::SocketAddr;
use std::sync::Arc;

use bumpalo::Bump;

use crate::api::ErrorCode;
use crate::api::ext_authz::{Address, CheckRequest, Peer};
use crate::decide::{DecideError, Origin};
use crate::engine::{EvaluateError, HttpPeer, RegoErrorKind};
use crate::identity::Claims;
use crate::model::Timestamp;

use super::caller::{Credentials, LocalCallers};

/// A request to decide about, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub host: &'a str,
    pub scheme: &'a str,
    /// Lower-case names.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a [u8]>,
    /// Envoy sent the body as text, which it made UTF-8 of.
    pub body_is_text: bool,
    pub source: Option<HttpPeer<'a>>,
    pub destination: Option<HttpPeer<'a>>,
    pub sni: Option<&'a str>,
    pub extensions: &'a [(&'a str, &'a str)],
    /// A `Metadata` message.
    pub metadata: Option<&'a [u8]>,
    /// Who asks: Envoy.
    pub peer: Option<SocketAddr>,
}

/// Why a request is not let through, where no policy said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is at fault itself: a denial.
    Denied {
        status: u16,
        text: String,
        /// Whether credentials are asked for.
        challenge: bool,
    },
    /// There is no decision. Envoy's failure mode applies, never a yes of ours.
    Failed { code: ErrorCode, text: String },
    /// A Rego policy gave no decision that can be read. The reason is OPA's plugin's word for it.
    Unreadable { reason: &'static str, text: String },
}

impl Refusal {
    /// A request that cannot be read: OPA's plugin denies it in the same words.
    fn unparsable(error: impl std::fmt::Display) -> Self {
        Self::Denied {
            status: 400,
            text: format!("request_parse_error: {error}"),
            challenge: false,
        }
    }

    /// The word of the reason for which an access decision may fail open; None where that would open what nothing
    /// protects, or where the request itself is at fault.
    #[must_use]
    pub const fn fails_open(&self) -> Option<&'static str> {
        match self {
            Self::Failed {
                code:
                    code @ (ErrorCode::NotReady
                    | ErrorCode::BundleExpired
                    | ErrorCode::BundleUntrusted
                    | ErrorCode::EvaluationBudgetExceeded
                    | ErrorCode::Internal),
                ..
            } => Some(code.as_str()),
            _ => None,
        }
    }
}

impl From<DecideError> for Refusal {
    fn from(error: DecideError) -> Self {
        let text = error.to_string();
        let code = match error {
            DecideError::NotReady => ErrorCode::NotReady,
            DecideError::Expired => ErrorCode::BundleExpired,
            DecideError::Untrusted => ErrorCode::BundleUntrusted,
            DecideError::Evaluate(EvaluateError::InvalidJson(error)) => {
                return Self::unparsable(error);
            }
            DecideError::Evaluate(EvaluateError::TooLarge { .. }) => ErrorCode::PayloadTooLarge,
            DecideError::Evaluate(EvaluateError::BudgetExceeded { .. }) => {
                ErrorCode::EvaluationBudgetExceeded
            }
            DecideError::Evaluate(EvaluateError::Rego(error)) => {
                if error.kind == RegoErrorKind::Cancelled {
                    ErrorCode::EvaluationBudgetExceeded
                } else {
                    return Self::Unreadable {
                        reason: "envoyauth_eval_error",
                        text,
                    };
                }
            }
            DecideError::Internal | DecideError::Evaluate(_) => ErrorCode::Internal,
        };
        Self::Failed { code, text }
    }
}

impl<'a> Asked<'a> {
    /// What a check request asks about.
    #[must_use]
    pub fn of(check: &'a CheckRequest<'a>, peer: Option<SocketAddr>) -> Self {
        let http = &check.http;
        Self {
            method: http.method,
            target: http.path,
            host: http.host,
            scheme: http.scheme,
            headers: &http.headers,
            body: http.body_bytes(),
            body_is_text: !http.body.is_empty(),
            source: check.source.as_ref().map(end),
            destination: check.destination.as_ref().map(end),
            sni: check.tls_session.map(|session| session.sni),
            extensions: &check.context_extensions,
            metadata: check.metadata_context,
            peer,
        }
    }

    /// A header, by its lower-case name; the first where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(candidate, _)| *candidate == name)
            .map(|(_, value)| *value)
    }

    /// For the decision log. The subject is the user of a verified token, else who Envoy says sent the request.
    fn origin<'o>(&self, path: &'o str, claims: Option<&'o Claims>) -> Origin<'o>
    where
        'a: 'o,
    {
        let header = |name| self.header(name).unwrap_or_default().as_bytes();
        let principal = self.source.map_or("", |source| source.principal);
        Origin {
            door: "ext_authz",
            path,
            peer: self.peer,
            subject: claims.map_or(principal, |claims| claims.subject.as_str()),
            request_id: header("x-request-id"),
            traceparent: header("traceparent"),
            ..Origin::UNKNOWN
        }
    }

    /// Headers of ours that a client sent along.
    pub fn forged(&self) -> impl Iterator<Item = &'a str> {
        native::forged(self.headers)
    }

    /// The end user's verified claims; None where there is no bearer token. One that is there and invalid denies.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub async fn identify(
        &self,
        callers: &LocalCallers,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, Refusal> {
        let mut tokens = self.headers.iter().filter_map(|(name, value)| {
            // Other schemes are between the user and the application.
            let is_bearer = *name == "authorization"
                && value
                    .get(..7)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            is_bearer.then_some(value.as_bytes())
        });
        let Some(token) = tokens.next() else {
            return Ok(None);
        };
        if tokens.next().is_some() {
            return Err(Refusal::unparsable("`authorization` is there twice"));
        }
        let credentials = Credentials {
            authorization: Some(token),
            tenant: None,
        };
        callers
            .identify(credentials, now)
            .await
            .map_err(|error| match error.code() {
                code @ ErrorCode::Unauthenticated => Refusal::Denied {
                    status: code.status(),
                    text: error.to_string(),
                    challenge: true,
                },
                code if code.status() < 500 => Refusal::Denied {
                    status: code.status(),
                    text: error.to_string(),
                    challenge: false,
                },
                code => Refusal::Failed {
                    code,
                    text: error.to_string(),
                },
            })
    }
}

fn end<'a>(peer: &'a Peer<'a>) -> HttpPeer<'a> {
    let (address, port) = match peer.address {
        Some(Address::Socket { address, port, .. }) => (address, port),
        Some(Address::Pipe { path, .. }) => (path, None),
        _ => ("", None),
    };
    HttpPeer {
        principal: peer.principal,
        service: peer.service,
        address,
        port,
        labels: &peer.labels,
    }
}

/// Text in an arena.
fn in_arena<'a>(arena: &'a Bump, bytes: &[u8]) -> &'a [u8] {
    arena.alloc_slice_copy(bytes)
}
