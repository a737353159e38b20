//! One rescue table: what the gate and the registry refuse, as gRPC says it.

use tonic::Status;

use crate::control_plane::gate::GateError;
use crate::control_plane::registry::{Fault, RegistryError};
use crate::control_plane::store::StoreError;

/// A status travels in a header: longer texts are cut off.
const LONGEST_TEXT: usize = 2048;

impl From<GateError> for Status {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Header(text) => Self::invalid_argument(text),
            GateError::Unauthenticated(text) => Self::unauthenticated(text),
            GateError::NotReady(text) => Self::unavailable(text),
            GateError::PermissionDenied(text) => Self::permission_denied(text),
        }
    }
}

impl From<&RegistryError> for Status {
    fn from(error: &RegistryError) -> Self {
        match error {
            RegistryError::Shape(faults) | RegistryError::Policy(faults) => {
                Self::invalid_argument(all(error, faults))
            }
            RegistryError::Key(text) => Self::invalid_argument(text),
            RegistryError::NotFound(text) => Self::not_found(text),
            RegistryError::Exists(text) => Self::already_exists(text),
            RegistryError::Conflict(text) | RegistryError::Precondition(text) => {
                Self::failed_precondition(text)
            }
            RegistryError::Moved | RegistryError::InProgress => Self::aborted(error.to_string()),
            RegistryError::KeyReused => Self::invalid_argument(error.to_string()),
            RegistryError::Store(StoreError::Unreadable { .. } | StoreError::Migrate(_))
            | RegistryError::BrokenOff(_) => {
                tracing::error!(?error, "the registry failed");
                Self::internal("internal error")
            }
            RegistryError::Store(StoreError::Database(source)) => {
                tracing::error!(%source, "the store failed");
                Self::unavailable("the store does not answer, try again in a moment")
            }
        }
    }
}

impl From<RegistryError> for Status {
    fn from(error: RegistryError) -> Self {
        Self::from(&error)
    }
}

/// Everything that is wrong, in one line.
fn all(error: &RegistryError, faults: &[Fault]) -> String {
    let mut text = error.to_string();
    for (index, fault) in faults.iter().enumerate() {
        text.push_str(if index == 0 { ": " } else { "; " });
        if !fault.place.is_empty() {
            text.push_str(&fault.place);
            text.push_str(": ");
        }
        text.push_str(&fault.message);
    }
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push_str(" ...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_and_a_long_list_is_cut() {
        let faults = |count| RegistryError::Policy(vec![Fault::new("p:1:2", "é"); count]);
        assert_eq!(
            Status::from(faults(2)).message(),
            "the policy is not valid: p:1:2: é; p:1:2: é"
        );
        let long = Status::from(faults(1000));
        assert!(long.message().len() < LONGEST_TEXT + 8 && long.message().ends_with(" ..."));
    }
}
