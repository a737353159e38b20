//! What a decision is called, how it came out, and who is told.

use uuid::Uuid;

/// The kinds of decision, as metrics and `fail_open` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Validate,
    Access,
    Consumption,
    Variant,
    Content,
    Http,
    Rego,
    Search,
    /// An ad-hoc query to Rego.
    Query,
    /// A violation that a client reports: taken down, not decided.
    Report,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Validate,
        Self::Access,
        Self::Consumption,
        Self::Variant,
        Self::Content,
        Self::Http,
        Self::Rego,
        Self::Search,
        Self::Query,
        Self::Report,
    ];

    /// The word of the metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Access => "access",
            Self::Consumption => "consumption",
            Self::Variant => "variant",
            Self::Content => "content",
            Self::Http => "http",
            Self::Rego => "rego",
            Self::Search => "search",
            Self::Query => "query",
            Self::Report => "report",
        }
    }
}

/// How a decision came out, as metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Compliant, allowed, assigned, delivered, found.
    Positive,
    /// Not compliant, denied, not in the experiment, not found.
    Negative,
    /// No decision.
    Error,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Positive, Self::Negative, Self::Error];

    pub(super) const fn positive_if(holds: bool) -> Self {
        if holds {
            Self::Positive
        } else {
            Self::Negative
        }
    }

    /// The word of the metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Error => "error",
        }
    }
}

/// Told of every decision; must not wait. The server's telemetry implements it.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// `nanos` is how long the decision took, the encoding of its answer included.
    fn decided(&self, kind: Kind, outcome: Outcome, nanos: u64);
    /// An evaluation panicked.
    fn panicked(&self, kind: Kind, message: &str);
    /// Rego printed a line; told where [`crate::engine::Limits::rego_prints`] says so.
    fn printed(&self, _line: &str) {}
}

/// Told of every decision whose trace may be recorded; must not wait.
pub trait Tracer: Send + Sync + std::fmt::Debug {
    fn decided(&self, decision: &Traced<'_>);
}

/// A decision as a span shows it: nothing of what was asked.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// The caller's `traceparent`, unchecked.
    pub traceparent: &'a [u8],
    pub decision_id: Uuid,
    pub kind: Kind,
    pub outcome: Outcome,
    /// Empty where there was no decision.
    pub revision: &'a str,
    pub door: &'static str,
    /// The error in one word; empty where there is none.
    pub error: &'static str,
    pub nanos: u64,
}
