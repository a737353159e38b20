//! The nouns of the domain. Imports nothing else of the crate.

mod decision;
mod id;
mod revision;
mod search;
mod time;

pub use decision::{
    Access, AccessReason, Assignment, Consideration, Consumption, ConsumptionLimits,
    EvaluationIssue, Group, Severity, Validation, VariantAnswer, VariantReason, VersionStatus,
    Violation,
};
pub use id::{CONSTITUTIONAL_HASH, InvalidTenant, PolicyId, TenantId};
pub use revision::{InvalidRevision, Revision};
pub use search::Sought;
pub use time::{Timestamp, TimestampText};
