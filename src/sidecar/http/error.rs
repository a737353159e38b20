//! The one table from what went wrong to what this door answers.

use std::ops::{Deref, DerefMut};

use http::{HeaderValue, StatusCode};

use crate::api::{ErrorCode, PROBLEM_JSON, Problem, ProblemItem, json};
use crate::decide::DecideError;
use crate::engine::{EvaluateError, RegoErrorKind};
use crate::server::body::BodyError;
use crate::server::guard::Refusal;
use crate::sidecar::caller::CallerError;
use crate::sidecar::revision::RevisionError;

use super::reply::{JSON, Rare, Reply};

/// A request that is not answered with a decision. Boxed: results that hold it are handed on by every request.
#[derive(Debug)]
pub(super) struct Failure(Box<Reason>);

/// Why, and what the answer says beside.
#[derive(Debug)]
pub(super) struct Reason {
    pub problem: Problem,
    pub allow: Option<&'static str>,
    /// The active revision, where it says why.
    pub revision: Option<String>,
}

impl Deref for Failure {
    type Target = Reason;

    fn deref(&self) -> &Reason {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Reason {
        &mut self.0
    }
}

impl Failure {
    pub(super) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Reason {
            problem: Problem::new(code, detail),
            allow: None,
            revision: None,
        }))
    }

    /// AuthZEN's errors are a JSON string, and a wrong content type is 400 there; ours are problem documents.
    pub(super) fn into_reply(self, authzen: bool, path: &str) -> Reply {
        let code = self.problem.code;
        let (status, content_type, body) = if authzen {
            let status = match code {
                ErrorCode::UnsupportedMediaType => 400,
                code => code.status(),
            };
            let detail = match self.problem.detail.as_str() {
                "" => code.title(),
                detail => detail,
            };
            let mut body = Vec::new();
            json::string(&mut body, detail);
            (status, JSON, body)
        } else {
            let content_type = HeaderValue::from_static(PROBLEM_JSON);
            let body = self.problem.clone().at(path).to_vec();
            (code.status(), content_type, body)
        };
        self.into_reply_with(status, content_type, body)
    }

    /// The reply in another protocol's shape.
    pub(super) fn into_reply_with(
        self,
        status: u16,
        content_type: HeaderValue,
        body: Vec<u8>,
    ) -> Reply {
        let Reason {
            problem,
            allow,
            revision,
        } = *self.0;
        let code = problem.code;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let rare = Rare {
            allow,
            revision,
            retry_after: (code.status() == 503).then_some(1),
            challenge: code == ErrorCode::Unauthenticated,
            ..Rare::default()
        };
        Reply {
            content_type,
            ..Reply::json(status, body).with(rare)
        }
    }

    /// The word of the reason for which an access decision may fail open; None where the request itself is at fault.
    pub(super) fn fails_open(&self) -> Option<&'static str> {
        match self.problem.code {
            ErrorCode::NotReady
            | ErrorCode::BundleExpired
            | ErrorCode::BundleUntrusted
            | ErrorCode::EvaluationBudgetExceeded
            | ErrorCode::Internal => Some(self.problem.code.as_str()),
            _ => None,
        }
    }
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        let mut failure = Self::new(error.code(), error.to_string());
        failure.revision = error.active().map(str::to_owned);
        failure
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorCode::PermissionDenied, refusal.to_string())
    }
}

impl From<DecideError> for Failure {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::NotReady => Self::new(ErrorCode::NotReady, ""),
            DecideError::Expired => Self::new(ErrorCode::BundleExpired, ""),
            DecideError::Untrusted => Self::new(ErrorCode::BundleUntrusted, ""),
            DecideError::Internal => Self::new(ErrorCode::Internal, ""),
            DecideError::Evaluate(error) => Self::from(error),
        }
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::InvalidJson(error) => {
                Self::new(ErrorCode::InvalidJson, error.to_string())
            }
            EvaluateError::InvalidRequest { pointer, message } => {
                let mut failure =
                    Self::new(ErrorCode::InvalidRequest, format!("`{pointer}`: {message}"));
                failure.problem.errors.push(ProblemItem {
                    pointer,
                    detail: message,
                });
                failure
            }
            error @ EvaluateError::TooLarge { .. } => {
                Self::new(ErrorCode::PayloadTooLarge, error.to_string())
            }
            error @ EvaluateError::BudgetExceeded { .. } => {
                Self::new(ErrorCode::EvaluationBudgetExceeded, error.to_string())
            }
            EvaluateError::Rego(error) => {
                let code = match error.kind {
                    RegoErrorKind::Cancelled => ErrorCode::EvaluationBudgetExceeded,
                    _ => ErrorCode::Internal,
                };
                Self::new(code, error.to_string())
            }
            error @ EvaluateError::NotFound(_) => Self::new(ErrorCode::NotFound, error.to_string()),
        }
    }
}

impl From<CallerError> for Failure {
    fn from(error: CallerError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let code = match error {
            BodyError::TooLarge(_) => ErrorCode::PayloadTooLarge,
            BodyError::Timeout(_) => ErrorCode::RequestTimeout,
            BodyError::Broken => ErrorCode::InvalidRequest,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_error_has_its_code() {
        for (error, code) in [
            (DecideError::NotReady, ErrorCode::NotReady),
            (DecideError::Expired, ErrorCode::BundleExpired),
            (DecideError::Untrusted, ErrorCode::BundleUntrusted),
            (DecideError::Internal, ErrorCode::Internal),
            (
                EvaluateError::TooLarge { limit: 1 }.into(),
                ErrorCode::PayloadTooLarge,
            ),
            (
                EvaluateError::BudgetExceeded { steps: 1 }.into(),
                ErrorCode::EvaluationBudgetExceeded,
            ),
            (
                EvaluateError::NotFound("x".into()).into(),
                ErrorCode::NotFound,
            ),
        ] {
            assert_eq!(Failure::from(error).problem.code, code);
        }
    }

    #[test]
    fn authzen_errors_are_strings_and_a_wrong_media_type_is_400() {
        let failure = Failure::new(ErrorCode::UnsupportedMediaType, "must be \"json\"");
        let reply = failure.into_reply(true, "/access/v1/evaluation");
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        let text: String = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(text, "must be \"json\"");
        let reply =
            Failure::new(ErrorCode::UnsupportedMediaType, "").into_reply(false, "/v1/validate");
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(reply.content_type, PROBLEM_JSON);
    }

    #[test]
    fn only_what_is_not_the_callers_fault_fails_open() {
        for code in ErrorCode::ALL {
            let opens = Failure::new(code, "").fails_open().is_some();
            let ours = matches!(
                code.as_str(),
                "not_ready"
                    | "bundle_expired"
                    | "bundle_untrusted"
                    | "evaluation_budget_exceeded"
                    | "internal"
            );
            assert_eq!(opens, ours, "{}", code.as_str());
        }
    }
}
