//! The one door from a transport to a decision: load once, evaluate within the budget, fail closed.
//!
//! Every door goes through [`Worker`]. No lock and no await lies between the load and the decision; a panic in
//! an evaluation is caught here, answered as internal, and counted.

use std::sync::Arc;

use crate::engine::{AccessRequest, Content, DuplicateMembers, EvaluateError, Limits};
use crate::model::{Access, Consumption, PolicyId, Timestamp, Validation, VariantAnswer};
use crate::snapshot::{Reader, Snapshot};

/// Why there is no decision. Never a yes.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("no policy bundle is active yet")]
    NotReady,
    #[error("the active policy bundle has expired")]
    Expired,
    #[error("the keys of the active policy bundle are no longer trusted")]
    Untrusted,
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    #[error("internal error")]
    Internal,
}

/// What every question brings along.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub now: Timestamp,
    /// JSON text of verified claims.
    pub claims: Option<&'a [u8]>,
    pub duplicates: DuplicateMembers,
    pub explain: bool,
}

/// What every answer carries, beside the decision.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub snapshot: &'a Snapshot,
    pub decision_id: uuid::Uuid,
}

/// Decides for one serving thread. Not shared; owns the thread's scratch memory.
#[derive(Debug)]
pub struct Worker {}

impl Worker {
    #[must_use]
    pub fn new(_reader: &Reader, _limits: Limits, _observer: Arc<dyn Observer>) -> Self {
        todo!()
    }

    /// Validates; `encode` turns the decision into the reply while it is borrowed.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn validate<R>(
        &mut self,
        _input: &[u8],
        _question: &Question<'_>,
        _encode: impl FnOnce(&Answered<'_>, &Validation<'_>) -> R,
    ) -> Result<R, DecideError> {
        todo!()
    }

    /// Decides access.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn access<R>(
        &mut self,
        _request: AccessRequest<'_>,
        _question: &Question<'_>,
        _encode: impl FnOnce(&Answered<'_>, &Access<'_>) -> R,
    ) -> Result<R, DecideError> {
        todo!()
    }

    /// Validates a consumption.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn consumption<R>(
        &mut self,
        _input: &[u8],
        _question: &Question<'_>,
        _encode: impl FnOnce(&Answered<'_>, &Consumption<'_>) -> R,
    ) -> Result<R, DecideError> {
        todo!()
    }

    /// Assigns a variant.
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn variant<R>(
        &mut self,
        _input: &[u8],
        _question: &Question<'_>,
        _encode: impl FnOnce(&Answered<'_>, &VariantAnswer<'_>) -> R,
    ) -> Result<R, DecideError> {
        todo!()
    }

    /// The content that a client gets (None = 404).
    ///
    /// # Errors
    ///
    /// [`DecideError`].
    pub fn content<R>(
        &mut self,
        _policy: PolicyId,
        _client: Option<&str>,
        _encode: impl FnOnce(&Answered<'_>, Option<&Content<'_>>) -> R,
    ) -> Result<R, DecideError> {
        todo!()
    }
}

/// The kinds of decision, as metrics and `fail_open` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Validate,
    Access,
    Consumption,
    Variant,
    Content,
    Http,
}

/// How a decision came out, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Compliant, allowed, assigned, delivered.
    Positive,
    /// Not compliant, denied, not in the experiment, not found.
    Negative,
    /// No decision.
    Error,
}

/// Told of every decision; must not wait. The server's telemetry implements it.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// `nanos` is how long the decision took.
    fn decided(&self, kind: Kind, outcome: Outcome, nanos: u64);
    /// An evaluation panicked.
    fn panicked(&self, kind: Kind, message: &str);
}
