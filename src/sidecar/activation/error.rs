//! Why a bundle did not become active, and what follows from it.

use crate::bundle::{Claims, Code, Step, VerifyError};
use crate::model::Timestamp;
use crate::sidecar::cache::PersistError;
use crate::snapshot::NotNewer;
use crate::snapshot::load::LoadError;

/// A bundle that failed a step. The active snapshot is untouched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {} ({}): {detail}", step.number(), code.as_str())]
pub struct ActivationError {
    pub step: Step,
    pub code: Code,
    /// What was found and what was expected.
    pub detail: String,
    /// The bundle's revision, where its signature held.
    pub revision: Option<String>,
    /// What the bundle says of itself, where its signature held.
    pub(super) claims: Option<Box<Claims>>,
    pub(super) fate: Fate,
}

/// What becomes of a bundle that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is the bundle's fault: not asked for again for a while.
    Rejected,
    /// The bytes are not the bundle (a mismatch), or another process is further: the source is asked again.
    Refetch,
    /// Not the bundle's fault: the file is kept, and tried again once the keyring changes.
    UnlessKeyring,
    /// Not the bundle's fault: kept until this moment.
    NotBefore(Timestamp),
    /// Not the bundle's fault: kept and tried again now and then.
    Later,
}

impl ActivationError {
    pub(super) fn too_large(limit: u64) -> Self {
        Self {
            step: Step::ArchiveSize,
            code: Code::TooLarge,
            detail: format!("the archive is larger than {limit} bytes"),
            revision: None,
            claims: None,
            fate: Fate::Rejected,
        }
    }

    /// `clock_skew` in seconds: a bundle from the future becomes valid this much before it was issued.
    pub(super) fn verifying(error: VerifyError, clock_skew: i64) -> Self {
        let issued_at = error.claims.as_ref().map(|claims| claims.issued_at);
        let fate = match (error.step, error.code, issued_at) {
            _ if error.unknown_key => Fate::UnlessKeyring,
            (Step::ArchiveDigest, ..) => Fate::Refetch,
            (_, Code::NotYetValid, Some(issued_at)) => {
                Fate::NotBefore(issued_at.plus_seconds(-clock_skew))
            }
            _ => Fate::Rejected,
        };
        Self {
            step: error.step,
            code: error.code,
            detail: error.detail,
            revision: error
                .claims
                .as_ref()
                .map(|claims| claims.revision.to_string()),
            claims: error.claims,
            fate,
        }
    }

    pub(super) fn loading(error: LoadError, revision: Option<String>) -> Self {
        Self {
            step: error.step,
            code: error.code,
            detail: error.detail,
            revision,
            claims: None,
            fate: Fate::Rejected,
        }
    }

    pub(super) fn persisting(error: &PersistError, revision: String) -> Self {
        Self {
            step: Step::Persist,
            code: Code::NotPersisted,
            detail: error.to_string(),
            revision: Some(revision),
            claims: None,
            fate: match error {
                PersistError::Overtaken(_) => Fate::Refetch,
                PersistError::Io { .. } => Fate::Later,
            },
        }
    }

    pub(super) fn swapping(error: &NotNewer) -> Self {
        Self {
            step: Step::Swap,
            code: Code::Stale,
            detail: error.to_string(),
            revision: Some(error.offered.clone()),
            claims: None,
            fate: Fate::Rejected,
        }
    }
}
