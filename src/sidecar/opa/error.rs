//! The one table from what went wrong to what OPA's clients are answered.

use http::StatusCode;

use crate::api::opa::{Code, ErrorDocument, ErrorItem, Location};
use crate::decide::DecideError;
use crate::engine::{EvaluateError, RegoError, RegoErrorKind};
use crate::server::body::BodyError;
use crate::sidecar::caller::CallerError;
use crate::sidecar::revision::RevisionError;

/// A request that is answered with an error.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: StatusCode,
    pub document: ErrorDocument,
    /// Whether it may be asked again soon.
    pub retry: bool,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            document: ErrorDocument::new(code, message),
            retry: status == StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// 400.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidParameter, message)
    }

    /// 500.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::InternalError,
            message,
        )
    }

    /// A path with a step that names nothing: OPA answers 500, in these words.
    pub(super) fn bad_path(step: &str) -> Self {
        Self::internal(format!(
            "invalid_parameter: invalid path: invalid ref term '{step}'"
        ))
    }

    /// Not served here, and never will be by this answer's server.
    pub(super) fn not_implemented(message: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, Code::InvalidOperation, message)
    }

    fn with(mut self, item: ErrorItem) -> Self {
        self.document.errors.push(item);
        self
    }

    /// What a query that is not understood is answered with.
    fn of_query(error: &RegoError) -> Self {
        let message = match error.kind {
            RegoErrorKind::Parse => "error(s) occurred while parsing query",
            _ => "error(s) occurred while compiling query",
        };
        Self::invalid(message).with(item(error))
    }
}

fn item(error: &RegoError) -> ErrorItem {
    ErrorItem {
        code: error.kind.code().to_owned(),
        message: error.message.clone(),
        location: error.place.as_ref().map(|place| Location {
            file: place.file.clone(),
            row: place.row,
            col: place.column,
        }),
    }
}

impl From<RegoError> for Failure {
    fn from(error: RegoError) -> Self {
        match error.kind {
            RegoErrorKind::Parse
            | RegoErrorKind::Compile
            | RegoErrorKind::UnsafeVar
            | RegoErrorKind::Recursion
            | RegoErrorKind::Unsupported => Self::of_query(&error),
            RegoErrorKind::Conflict
            | RegoErrorKind::Builtin
            | RegoErrorKind::Cancelled
            | RegoErrorKind::Internal => {
                Self::internal("error(s) occurred while evaluating query").with(item(&error))
            }
        }
    }
}

impl From<DecideError> for Failure {
    fn from(error: DecideError) -> Self {
        match error {
            // Undefined is what OPA would answer here, and a caller may take that for a yes.
            DecideError::NotReady | DecideError::Expired | DecideError::Untrusted => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::InternalError,
                error.to_string(),
            ),
            DecideError::Internal => Self::internal("internal error"),
            DecideError::Evaluate(EvaluateError::Rego(error)) => error.into(),
            DecideError::Evaluate(error) => Self::invalid(error.to_string()),
        }
    }
}

impl From<CallerError> for Failure {
    fn from(error: CallerError) -> Self {
        let status =
            StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::UNAUTHORIZED);
        Self::new(status, Code::Unauthorized, error.to_string())
    }
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::CONFLICT);
        let code = match error {
            RevisionError::Twice | RevisionError::Invalid => Code::InvalidParameter,
            RevisionError::Busy => Code::InternalError,
            RevisionError::NotReached { .. } => Code::RevisionNotReached,
        };
        Self::new(status, code, error.to_string())
    }
}

impl Failure {
    /// A body that is not there.
    pub(super) fn of_body(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => Self::invalid(format!(
                "request body too large: exceeds limit of {limit} bytes (server.decoding.max_length)"
            )),
            BodyError::Timeout(_) => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::InvalidParameter,
                error.to_string(),
            ),
            BodyError::Broken => Self::invalid(error.to_string()),
        }
    }
}
