//! What every compiled document carries: who it is, its variables, and when it is the version that decides.

use std::sync::Arc;

use crate::engine::Expression;
use crate::engine::expression::Variables;

/// Index into a program's versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VersionId(pub u32);

/// A policy version that can decide.
#[derive(Debug)]
pub(super) struct Version {
    pub id: String,
    pub name: Arc<str>,
    pub number: String,
    pub gate: Gate,
    pub variables: Variables,
}

/// When a version decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It is the active version of a policy in no experiment.
    Always,
    /// It is the version number `local` of a policy in an experiment; 0 is the active version.
    Choice { choice: u32, local: u16 },
}

/// An expression with its place in the document.
#[derive(Debug)]
pub(super) struct Condition {
    pub expression: Expression,
    pub place: Arc<str>,
}
