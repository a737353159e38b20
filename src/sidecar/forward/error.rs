//! Why a request was not answered by the control plane, and what the caller is told instead.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, Response, StatusCode, Uri};

use crate::api::{ErrorCode, PROBLEM_JSON, Problem};
use crate::resilience::Rejected;
use crate::server::telemetry::with_causes;
use crate::wire::{self, WireError};

/// Settings that no forwarder can be made of.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("`{0}` is no upstream: expected `http://host` or `https://host`, without a query")]
    Base(Uri),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("cannot register the metrics of forwarding")]
    Metrics(#[from] prometheus::Error),
}

/// Why there is no answer of the control plane.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("too many requests to the control plane are under way")]
    Busy,
    #[error("the control plane has failed repeatedly and is left alone for now")]
    BreakerOpen(#[from] Rejected),
    #[error("the control plane cannot be reached")]
    Unreachable(#[source] WireError),
    #[error("the control plane did not answer in time")]
    Deadline,
    #[error("the connection to the control plane broke before its answer was complete")]
    Interrupted(#[source] WireError),
    #[error("the body of the request took too long to arrive")]
    CallerTooSlow,
    #[error("the body of the request is incomplete")]
    CallerBroke,
    #[error("the path of the request has a segment `.` or `..`")]
    Path,
}

impl From<WireError> for ForwardError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Connect(_) | WireError::Tls(_) => Self::Unreachable(error),
            WireError::Deadline(_) => Self::Deadline,
            WireError::Interrupted(_) | WireError::TooLarge(_) => Self::Interrupted(error),
        }
    }
}

impl ForwardError {
    /// The word for it.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Busy | Self::BreakerOpen(_) | Self::Unreachable(_) => {
                ErrorCode::UpstreamUnavailable
            }
            Self::Deadline => ErrorCode::UpstreamTimeout,
            Self::Interrupted(_) => ErrorCode::BadGateway,
            Self::CallerTooSlow => ErrorCode::RequestTimeout,
            Self::CallerBroke | Self::Path => ErrorCode::InvalidRequest,
        }
    }

    /// Whether the control plane, or the way to it, failed.
    pub(super) const fn is_upstreams(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Deadline | Self::Interrupted(_)
        )
    }

    /// Logs what is not the caller's doing. A path has no query here.
    pub(super) fn report(&self, method: &Method, path: &str) {
        let cause = std::error::Error::source(self).map(with_causes);
        let (code, cause) = (self.code().as_str(), cause.as_deref().unwrap_or_default());
        if self.is_upstreams() {
            tracing::warn!(%method, path, code, cause, "forwarding failed: {self}");
        } else {
            tracing::debug!(%method, path, code, cause, "not forwarded: {self}");
        }
    }

    /// The problem document for the caller.
    pub(super) fn response(&self, path: &str) -> Response<wire::Body> {
        let code = self.code();
        let problem = Problem::new(code, self.to_string()).at(path);
        let mut response = Response::new(wire::full(problem.to_vec()));
        *response.status_mut() =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::BreakerOpen(Rejected { retry_after }) => {
                Some((*retry_after + Duration::from_millis(999)).as_secs())
            }
            Self::Busy | Self::Unreachable(_) | Self::Deadline | Self::Interrupted(_) => Some(1),
            Self::CallerTooSlow | Self::CallerBroke | Self::Path => None,
        }
    }
}
