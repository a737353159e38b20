//! Steps 11 to 15: one pass over a verified archive, then compile, then the bundle's own tests.
//!
//! The sidecar's activation, the control plane's publication and `lictor bundle verify` all come through here.

use crate::bundle::{Code, Limits as ArchiveLimits, Step, VerifiedBundle, VerifyError};
use crate::engine::Limits as DecisionLimits;
use crate::model::Timestamp;

use super::Snapshot;

/// What loading is bounded by and held against.
#[derive(Clone, Debug)]
pub struct Options {
    pub archive: ArchiveLimits,
    pub decision: DecisionLimits,
    /// Also check every file's own hash (`bundle verify` and the control plane).
    pub hash_files: bool,
    pub now: Timestamp,
    /// The source's name.
    pub source: String,
}

/// The step from 11 to 15 that failed.
#[derive(Debug, thiserror::Error)]
#[error("step {} ({}): {detail}", step.number(), code.as_str())]
pub struct LoadError {
    pub step: Step,
    pub code: Code,
    pub detail: String,
}

impl From<VerifyError> for LoadError {
    fn from(error: VerifyError) -> Self {
        Self {
            step: error.step,
            code: error.code,
            detail: error.detail,
        }
    }
}

/// Makes a snapshot of a verified archive.
///
/// # Errors
///
/// The first step that fails.
pub fn load(_bundle: &VerifiedBundle<'_>, _options: &Options) -> Result<Snapshot, LoadError> {
    todo!()
}
