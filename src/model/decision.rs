//! Decisions. They borrow from the snapshot, the request and the worker's arena: nothing is copied
//! between the engine and the encoder.

/// How bad a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
}

impl Severity {
    /// The word authors and clients use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// An A/B group of a policy version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    A,
    B,
}

impl Group {
    /// `A` or `B`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// Where a version stands. Drafts never reach a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionStatus {
    Draft,
    Active,
    Testing,
    Retired,
}

impl VersionStatus {
    /// The word of the registry's API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Testing => "testing",
            Self::Retired => "retired",
        }
    }
}

/// One reason for a failed validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation<'a> {
    pub policy_id: &'a str,
    pub policy_name: &'a str,
    pub severity: Severity,
    pub message: &'a str,
    pub remediation: &'a str,
    pub field: &'a str,
    pub actual: Option<&'a str>,
    pub expected: Option<&'a str>,
}

/// An expression that could not be evaluated. It never allows; it is reported beside the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationIssue<'a> {
    pub policy: &'a str,
    /// Where in the document, for example `spec.validations[0].expression`.
    pub place: &'a str,
    pub message: &'a str,
}

/// Which variant of an experiment this request was decided under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment<'a> {
    pub experiment: &'a str,
    pub variant: &'a str,
}

/// One policy, rule or condition that was looked at (`?explain=full`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consideration<'a> {
    pub policy_id: &'a str,
    pub policy_name: &'a str,
    pub version: &'a str,
    /// The rule or validation, for example `rules[1]` or `match[0]`; empty for the policy itself.
    pub place: &'a str,
    pub matched: bool,
    /// The condition that decided, as written; empty where there is none.
    pub condition: &'a str,
    /// Its value rendered as CEL text, or `error: ...`.
    pub value: &'a str,
}

/// Answer of a validation.
#[derive(Clone, Debug)]
pub struct Validation<'a> {
    pub violations: &'a [Violation<'a>],
    /// Enabled validation policies of the snapshot, whether or not an index skipped them.
    pub evaluated: u32,
    /// Policies (not violations) that failed.
    pub failed: u32,
    pub errors: &'a [EvaluationIssue<'a>],
    pub variants: &'a [Assignment<'a>],
    /// Empty unless explanation was asked for.
    pub considered: &'a [Consideration<'a>],
}

impl Validation<'_> {
    /// Whether nothing was violated.
    #[must_use]
    pub const fn compliant(&self) -> bool {
        self.failed == 0
    }
}

/// Why an access decision came out as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessReason<'a> {
    /// An allow rule matched and no deny rule did.
    Allowed { policy: &'a str, rule: &'a str },
    /// A deny rule matched.
    Denied {
        policy: &'a str,
        rule: &'a str,
        reason: Option<&'a str>,
    },
    /// No rule matched.
    NoMatch,
    /// Neither access policies nor access-control service policies are loaded.
    NoPolicy,
    /// A service policy names this subject as blocked.
    Blocked { policy: &'a str },
    /// A service policy asks for a role, an address or an approval the request lacks.
    Requirement { policy: &'a str, text: &'a str },
}

/// Answer of an access decision.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    pub allowed: bool,
    pub reason: AccessReason<'a>,
    pub required_permissions: &'a [&'a str],
    pub missing_permissions: &'a [&'a str],
    pub errors: &'a [EvaluationIssue<'a>],
    pub variants: &'a [Assignment<'a>],
    pub considered: &'a [Consideration<'a>],
}

/// Limits that rate-limiting policies name; the smallest over all enabled ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConsumptionLimits {
    pub max_tokens: i64,
    pub max_requests_per_minute: i64,
    pub max_requests_per_day: i64,
    pub max_cost_per_request: f64,
}

/// Answer of a consumption validation.
#[derive(Clone, Debug)]
pub struct Consumption<'a> {
    pub allowed: bool,
    /// Empty when allowed.
    pub reason: &'a str,
    pub violations: &'a [Violation<'a>],
    pub limits: ConsumptionLimits,
    pub errors: &'a [EvaluationIssue<'a>],
    pub variants: &'a [Assignment<'a>],
    pub considered: &'a [Consideration<'a>],
}

/// Why a key got its variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariantReason {
    /// The experiment's `overrides` name the key.
    Override,
    /// Assigned by bucket.
    Split,
    /// The key lies outside the rollout.
    NotInRollout,
    /// The audience does not hold (or could not be evaluated).
    NotInAudience,
    /// No key came with the request.
    NoKey,
}

impl VariantReason {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Split => "split",
            Self::NotInRollout => "not_in_rollout",
            Self::NotInAudience => "not_in_audience",
            Self::NoKey => "no_key",
        }
    }
}

/// Answer of a variant assignment.
#[derive(Clone, Debug)]
pub struct VariantAnswer<'a> {
    pub experiment: &'a str,
    /// None where the key is not in the experiment.
    pub variant: Option<&'a str>,
    /// The policy version the key runs, where a single policy was asked about.
    pub version: Option<&'a str>,
    pub reason: VariantReason,
    pub errors: &'a [EvaluationIssue<'a>],
}
