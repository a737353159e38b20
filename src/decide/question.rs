//! What is asked, and what comes with every answer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

use uuid::Uuid;

use crate::engine::{DuplicateMembers, EvaluateError, Flag, RegoValue};
use crate::model::Timestamp;
use crate::snapshot::Snapshot;

/// What every question brings along.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub now: Timestamp,
    /// JSON text of verified claims.
    pub claims: Option<&'a [u8]>,
    /// Who calls by a verified certificate: `source.principal`. Empty = nobody knows; on Envoy's door always, for there
    /// Envoy calls and says itself who sent the request.
    pub principal: &'a str,
    pub duplicates: DuplicateMembers,
    pub explain: bool,
    pub origin: Origin<'a>,
}

/// Where a question came from, for the decision log alone. Empty = unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The door: `http`, `authzen`, `ext_authz`, `opa`, ...
    pub door: &'static str,
    /// What was asked for, in the door's words: a path, a method, a rule.
    pub path: &'a str,
    pub request_id: &'a [u8],
    /// The `traceparent` that came along.
    pub traceparent: &'a [u8],
    /// `sub` of the verified token.
    pub subject: &'a str,
    pub peer: Option<SocketAddr>,
    /// JSON text of the input, where the question has it in another form (Rego) or the door shows more than that.
    pub input: &'a [u8],
}

impl Origin<'_> {
    pub const UNKNOWN: Self = Self {
        door: "",
        path: "",
        request_id: b"",
        traceparent: b"",
        subject: "",
        peer: None,
        input: b"",
    };
}

/// What every answer carries, beside the decision.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    pub snapshot: &'a Snapshot,
    pub decision_id: Uuid,
    /// When the decision was begun.
    pub started: Instant,
    pub(super) took: &'a Cell<Option<u64>>,
}

impl Answered<'_> {
    /// Nanoseconds that the decision took: until this was first asked. Asked once more, the clock is not.
    #[must_use]
    pub fn nanos(&self) -> u64 {
        self.took.get().unwrap_or_else(|| {
            let nanos = nanos_since(self.started);
            self.took.set(Some(nanos));
            nanos
        })
    }
}

/// Nanoseconds since then; five centuries at most.
pub(super) fn nanos_since(moment: Instant) -> u64 {
    let elapsed = moment.elapsed();
    let nanos = elapsed.as_secs().saturating_mul(1_000_000_000);
    nanos.saturating_add(u64::from(elapsed.subsec_nanos()))
}

/// A question about flags.
#[derive(Clone, Copy, Debug)]
pub struct Flags<'a> {
    /// None = all.
    pub name: Option<&'a str>,
    /// The key that is assigned.
    pub targeting_key: Option<&'a str>,
    /// JSON text of an object, for audiences.
    pub context: Option<&'a [u8]>,
}

/// What one flag is, or why it is nothing.
pub type FlagAnswer<'a> = Result<Flag<'a>, EvaluateError>;

/// A Rego document.
#[derive(Clone, Debug)]
pub struct RegoAnswer {
    /// None where it is undefined.
    pub value: Option<RegoValue>,
}

impl RegoAnswer {
    /// Whether it is defined and not `false`.
    #[must_use]
    pub fn holds(&self) -> bool {
        !matches!(&self.value, None | Some(RegoValue::Bool(false)))
    }
}
