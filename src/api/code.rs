//! The closed set of error codes: the same word in the response, the metric label and the log.

/// What went wrong, as clients, metrics and logs say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    RevisionNotReached,
    Conflict,
    IdempotencyInProgress,
    PreconditionFailed,
    UriTooLong,
    PolicyInvalid,
    IdempotencyKeyReused,
    TooManyRequests,
    HeadersTooLarge,
    BadGateway,
    NotReady,
    BundleExpired,
    BundleUntrusted,
    UpstreamUnavailable,
    UpstreamTimeout,
    EvaluationBudgetExceeded,
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the discriminants.
    pub const ALL: [Self; 26] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::RevisionNotReached,
        Self::Conflict,
        Self::IdempotencyInProgress,
        Self::PreconditionFailed,
        Self::UriTooLong,
        Self::PolicyInvalid,
        Self::IdempotencyKeyReused,
        Self::TooManyRequests,
        Self::HeadersTooLarge,
        Self::BadGateway,
        Self::NotReady,
        Self::BundleExpired,
        Self::BundleUntrusted,
        Self::UpstreamUnavailable,
        Self::UpstreamTimeout,
        Self::EvaluationBudgetExceeded,
        Self::Internal,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.parts().0
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.parts().1
    }

    /// A short text for people that never changes with the occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.parts().2
    }

    const fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidJson => ("invalid_json", 400, "The body is not valid JSON"),
            Self::InvalidRequest => ("invalid_request", 400, "The request is not valid"),
            Self::PayloadTooLarge => ("payload_too_large", 413, "The body is too large"),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "The content type is not supported",
            ),
            Self::Unauthenticated => ("unauthenticated", 401, "The credentials are not valid"),
            Self::PermissionDenied => ("permission_denied", 403, "This is not permitted"),
            Self::NotFound => ("not_found", 404, "There is nothing here"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "The method is not allowed here"),
            Self::RequestTimeout => (
                "request_timeout",
                408,
                "The request took too long to arrive",
            ),
            Self::RevisionNotReached => (
                "revision_not_reached",
                409,
                "The revision asked for is not active yet",
            ),
            Self::Conflict => ("conflict", 409, "The request conflicts with what is there"),
            Self::IdempotencyInProgress => (
                "idempotency_in_progress",
                409,
                "A request with this idempotency key is running",
            ),
            Self::PreconditionFailed => {
                ("precondition_failed", 412, "A precondition does not hold")
            }
            Self::UriTooLong => ("uri_too_long", 414, "The URI is too long"),
            Self::PolicyInvalid => ("policy_invalid", 422, "The policy is not valid"),
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                422,
                "The idempotency key was used for another request",
            ),
            Self::TooManyRequests => ("too_many_requests", 429, "Too many requests"),
            Self::HeadersTooLarge => ("headers_too_large", 431, "The headers are too large"),
            Self::BadGateway => ("bad_gateway", 502, "The control plane answered nonsense"),
            Self::NotReady => ("not_ready", 503, "No policy bundle is active yet"),
            Self::BundleExpired => ("bundle_expired", 503, "The policy bundle has expired"),
            Self::BundleUntrusted => (
                "bundle_untrusted",
                503,
                "The policy bundle is no longer trusted",
            ),
            Self::UpstreamUnavailable => (
                "upstream_unavailable",
                503,
                "The control plane cannot be reached",
            ),
            Self::UpstreamTimeout => (
                "upstream_timeout",
                504,
                "The control plane did not answer in time",
            ),
            Self::EvaluationBudgetExceeded => (
                "evaluation_budget_exceeded",
                503,
                "The decision needed too much work",
            ),
            Self::Internal => ("internal", 500, "An internal error occurred"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn the_list_holds_every_code_at_its_discriminant() {
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index, "{}", code.as_str());
        }
        assert_eq!(ErrorCode::Internal as usize + 1, ErrorCode::ALL.len());
    }

    #[test]
    fn words_are_distinct_and_statuses_are_errors() {
        let words: std::collections::BTreeSet<_> =
            ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        assert!(
            ErrorCode::ALL
                .iter()
                .all(|code| (400..600).contains(&code.status()))
        );
    }
}
