//! One rescue table: why there is no answer, as gRPC says it.

use tonic::{Code, Status};

use crate::api::ErrorCode;
use crate::decide::DecideError;
use crate::engine::{EvaluateError, RegoErrorKind};
use crate::sidecar::caller::CallerError;
use crate::sidecar::forward::ForwardError;

/// A caller that is turned away.
pub(super) fn turned_away(error: &CallerError) -> Status {
    Status::new(code(error.code()), error.to_string())
}

/// A question without a decision.
pub(super) fn undecided(error: &DecideError) -> Status {
    Status::new(code(word(error)), error.to_string())
}

/// A call that the control plane did not answer.
pub(super) fn not_forwarded(error: &ForwardError) -> Status {
    Status::new(code(error.code()), error.to_string())
}

/// The word for it, as metrics and log have it.
pub(super) const fn word(error: &DecideError) -> ErrorCode {
    match error {
        DecideError::NotReady => ErrorCode::NotReady,
        DecideError::Expired => ErrorCode::BundleExpired,
        DecideError::Untrusted => ErrorCode::BundleUntrusted,
        DecideError::Internal => ErrorCode::Internal,
        DecideError::Evaluate(error) => match error {
            EvaluateError::InvalidJson(_) => ErrorCode::InvalidJson,
            EvaluateError::InvalidRequest { .. } => ErrorCode::InvalidRequest,
            EvaluateError::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            EvaluateError::BudgetExceeded { .. } => ErrorCode::EvaluationBudgetExceeded,
            EvaluateError::Rego(error) => match error.kind {
                RegoErrorKind::Cancelled => ErrorCode::EvaluationBudgetExceeded,
                _ => ErrorCode::Internal,
            },
            EvaluateError::NotFound(_) => ErrorCode::NotFound,
        },
    }
}

/// gRPC's code for one of ours.
const fn code(code: ErrorCode) -> Code {
    match code.status() {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        408 | 504 => Code::DeadlineExceeded,
        409 | 412 => Code::FailedPrecondition,
        413 | 429 => Code::ResourceExhausted,
        400..=499 => Code::InvalidArgument,
        502 | 503 => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_ours_has_one_of_grpcs() {
        for (ours, expected) in [
            (ErrorCode::InvalidRequest, Code::InvalidArgument),
            (ErrorCode::Unauthenticated, Code::Unauthenticated),
            (ErrorCode::PermissionDenied, Code::PermissionDenied),
            (ErrorCode::PayloadTooLarge, Code::ResourceExhausted),
            (ErrorCode::UpstreamTimeout, Code::DeadlineExceeded),
            (ErrorCode::UpstreamUnavailable, Code::Unavailable),
            (ErrorCode::BadGateway, Code::Unavailable),
            (ErrorCode::NotReady, Code::Unavailable),
            (ErrorCode::RevisionNotReached, Code::FailedPrecondition),
            (ErrorCode::Internal, Code::Internal),
        ] {
            assert_eq!(code(ours), expected, "{ours:?}");
        }
    }
}
