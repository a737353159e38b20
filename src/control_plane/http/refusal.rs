//! One rescue table: why a request is refused, and the shape registry clients read.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use crate::api::{ErrorCode, PROBLEM_JSON, Problem, ProblemItem};
use crate::control_plane::gate::GateError;
use crate::control_plane::registry::{Fault, RegistryError};
use crate::control_plane::store::StoreError;
use crate::server::body::BodyError;

/// A refused request.
#[derive(Debug)]
pub struct Refusal {
    problem: Problem,
    status: u16,
}

impl Refusal {
    /// A refusal with the code's own status.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            problem: Problem::new(code, detail),
            status: code.status(),
        }
    }

    /// A request of the wrong shape: 422 on these routes, as the originals' clients expect.
    pub fn shape(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        RegistryError::shape(pointer, detail).into()
    }

    /// Names the path that was asked for.
    pub fn at(mut self, uri: &Uri) -> Self {
        self.problem = self.problem.at(uri.path());
        self
    }

    /// The status it is answered with.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The document: problem details, and beside them what the SDKs read.
    pub fn text(&self) -> String {
        let mut value: Value = serde_json::from_slice(&self.problem.to_vec()).unwrap_or_default();
        let detail = value.get("detail").cloned().unwrap_or_default();
        if let Value::Object(members) = &mut value {
            members.insert("status".into(), self.status.into());
            members.entry("errors").or_insert_with(|| json!([]));
            members.insert(
                "error".into(),
                json!({"code": self.problem.code.as_str(), "message": detail}),
            );
        }
        value.to_string()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.text()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self.problem.code {
            ErrorCode::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ErrorCode::TooManyRequests | ErrorCode::IdempotencyInProgress => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl Refusal {
    /// The refusal that an error of the registry is answered with.
    pub fn from_refused(error: &RegistryError) -> Self {
        match error {
            RegistryError::Shape(faults) => several(
                ErrorCode::InvalidRequest,
                422,
                "the request is not valid",
                faults,
            ),
            RegistryError::Policy(faults) => several(
                ErrorCode::PolicyInvalid,
                422,
                "the policy is not valid",
                faults,
            ),
            RegistryError::Key(detail) => Self::new(ErrorCode::InvalidRequest, detail),
            RegistryError::NotFound(detail) => Self::new(ErrorCode::NotFound, detail),
            RegistryError::Exists(detail) | RegistryError::Conflict(detail) => {
                Self::new(ErrorCode::Conflict, detail)
            }
            RegistryError::Moved => Self::new(ErrorCode::Conflict, error.to_string()),
            RegistryError::Precondition(detail) => Self::new(ErrorCode::PreconditionFailed, detail),
            RegistryError::InProgress => Self::new(ErrorCode::IdempotencyInProgress, ""),
            RegistryError::KeyReused => Self::new(ErrorCode::IdempotencyKeyReused, ""),
            RegistryError::Store(StoreError::Database(sqlx::Error::PoolTimedOut)) => Self::new(
                ErrorCode::TooManyRequests,
                "the store is busy, try again in a moment",
            ),
            RegistryError::Store(error) => {
                tracing::error!(?error, "the store failed");
                Self::new(ErrorCode::Internal, "")
            }
            RegistryError::BrokenOff(error) => {
                tracing::error!(%error, "a task of the registry broke off");
                Self::new(ErrorCode::Internal, "")
            }
        }
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::from_refused(&error)
    }
}

impl From<GateError> for Refusal {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Header(detail) => Self::shape("", detail),
            GateError::Unauthenticated(detail) => Self::new(ErrorCode::Unauthenticated, detail),
            GateError::NotReady(detail) => Self::new(ErrorCode::NotReady, detail),
            GateError::PermissionDenied(detail) => Self::new(ErrorCode::PermissionDenied, detail),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        RegistryError::Store(error).into()
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge(_) => Self::new(ErrorCode::PayloadTooLarge, error.to_string()),
            BodyError::Timeout(_) => Self::new(ErrorCode::RequestTimeout, error.to_string()),
            BodyError::Broken => Self::new(ErrorCode::InvalidRequest, error.to_string()),
        }
    }
}

/// `detail` says the first, `errors` all.
fn several(code: ErrorCode, status: u16, summary: &str, faults: &[Fault]) -> Refusal {
    let detail = faults.first().map_or_else(
        || summary.to_owned(),
        |fault| format!("{summary}: {}: {}", fault.place, fault.message),
    );
    let errors = faults
        .iter()
        .map(|fault| ProblemItem {
            pointer: fault.place.clone(),
            detail: fault.message.clone(),
        })
        .collect();
    Refusal {
        problem: Problem::new(code, detail).with_errors(errors),
        status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_the_originals_find_their_members() {
        let refusal: Refusal = RegistryError::Policy(vec![
            Fault::new("content:1:2", "first"),
            Fault::new("content:3:4", "second"),
        ])
        .into();
        let value: Value = serde_json::from_str(&refusal.text()).unwrap();
        assert_eq!(refusal.status(), 422);
        assert_eq!(
            value["detail"],
            "the policy is not valid: content:1:2: first"
        );
        assert_eq!(value["errors"][1]["detail"], "second");
        assert_eq!(value["error"]["code"], "policy_invalid");
        assert_eq!(value["error"]["message"], value["detail"]);
        let plain = Refusal::new(ErrorCode::NotFound, "gone");
        let value: Value = serde_json::from_str(&plain.text()).unwrap();
        assert_eq!(value["errors"], json!([]));
        assert_eq!(value["detail"], "gone");
    }
}
