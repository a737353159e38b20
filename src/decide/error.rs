//! Why there is no decision.

use crate::engine::{EvaluateError, RegoErrorKind};
use crate::snapshot::{Current, Ended, Snapshot};

/// Why there is no decision. Never a yes.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("no policy bundle is active yet")]
    NotReady,
    #[error("the active policy bundle has expired")]
    Expired,
    #[error("the keys of the active policy bundle are no longer trusted")]
    Untrusted,
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error("internal error")]
    Internal,
}

impl DecideError {
    /// The error in one word, as records have it: the error codes of the API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Expired => "bundle_expired",
            Self::Untrusted => "bundle_untrusted",
            Self::Evaluate(EvaluateError::InvalidJson(_)) => "invalid_json",
            Self::Evaluate(EvaluateError::InvalidRequest { .. }) => "invalid_request",
            Self::Evaluate(EvaluateError::TooLarge { .. }) => "payload_too_large",
            Self::Evaluate(EvaluateError::BudgetExceeded { .. }) => "evaluation_budget_exceeded",
            Self::Evaluate(EvaluateError::NotFound(_)) => "not_found",
            Self::Evaluate(EvaluateError::Rego(error)) => match error.kind {
                RegoErrorKind::Cancelled => "evaluation_budget_exceeded",
                _ => "internal",
            },
            Self::Internal => "internal",
        }
    }
}

/// The snapshot, if it may decide.
pub(super) fn deciding(current: &Current) -> Result<&Snapshot, NotNow> {
    match (current.ended, &current.snapshot) {
        (Some(ended), _) => Err(NotNow::Ended(ended)),
        (None, Some(snapshot)) => Ok(snapshot),
        (None, None) => Err(NotNow::Nothing),
    }
}

/// Why no snapshot may decide.
#[derive(Clone, Copy)]
pub(super) enum NotNow {
    Nothing,
    Ended(Ended),
}

impl From<NotNow> for DecideError {
    fn from(reason: NotNow) -> Self {
        match reason {
            NotNow::Nothing => Self::NotReady,
            NotNow::Ended(Ended::Expired) => Self::Expired,
            NotNow::Ended(Ended::Untrusted) => Self::Untrusted,
        }
    }
}
