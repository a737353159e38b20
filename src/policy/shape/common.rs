//! Parts that several kinds share.

use super::super::syntax::Syntax;
use super::{API_VERSION, Field, Form, Shape, optional, required};

/// Severities, worst first.
pub(super) const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];

/// Compliance and classification levels, lowest first.
pub(in super::super) const LEVELS: [&str; 4] = ["public", "internal", "confidential", "restricted"];

pub(super) const STRING: Form = Form::Text(Syntax::Any);
pub(super) const STRINGS: Form = Form::List {
    items: &STRING,
    at_least: 0,
};
/// A list that means "any of"; "any" is said by leaving it out, so an empty one is a mistake.
pub(super) const CHOICES: Form = Form::List {
    items: &Form::Text(Syntax::NonEmpty),
    at_least: 1,
};
pub(super) const STRING_MAP: Form = Form::Map {
    names: Syntax::Any,
    values: &STRING,
};
pub(super) const VARIABLES: Form = Form::Map {
    names: Syntax::Identifier,
    values: &Form::Expression,
};

pub(super) const fn api_version() -> Field {
    required(
        "apiVersion",
        Form::OneOf(&[API_VERSION]),
        "The version of the policy language.",
    )
}

pub(super) const fn kind(name: &'static [&'static str]) -> Field {
    required("kind", Form::OneOf(name), "What the document is.")
}

pub(super) const fn metadata(shape: &'static Shape) -> Field {
    required(
        "metadata",
        Form::Object(shape),
        "What identifies the policy.",
    )
}

pub(super) static METADATA: Shape = Shape {
    name: "Metadata",
    about: "What identifies a policy version.",
    camel: false,
    fields: &[
        required(
            "name",
            Form::Text(Syntax::Name),
            "Unique per tenant; at most 255 characters.",
        ),
        ID,
        VERSION,
        STATUS,
        GROUP,
        LABELS,
    ],
};

pub(super) const ID: Field = optional(
    "id",
    Form::Text(Syntax::Uuid),
    "A UUID; by default derived from tenant, kind and name.",
);
pub(super) const VERSION: Field = optional(
    "version",
    Form::Text(Syntax::Version),
    "A semantic version; by default 1.0.0.",
);
pub(super) const STATUS: Field = optional(
    "status",
    Form::OneOf(&["active", "testing", "retired"]),
    "By default active.",
);
const GROUP: Field = optional(
    "abTestGroup",
    Form::OneOf(&["A", "B"]),
    "The half of the clients that this version is for.",
);
pub(super) const LABELS: Field = optional("labels", STRING_MAP, "Free text for people and tools.");

pub(super) const TEST_NAME: Field = required(
    "name",
    Form::Text(Syntax::NonEmpty),
    "Unique within the document.",
);

pub(super) static EXPECTED_VIOLATION: Shape = Shape {
    name: "ExpectedViolation",
    about: "The fields given must equal those of one violation.",
    camel: false,
    fields: &[
        optional("field", STRING, "The field that the violation names."),
        optional("message", STRING, "Its message."),
        optional("severity", Form::OneOf(&SEVERITIES), "Its severity."),
        optional("actual", STRING, "Its actual value."),
        optional("expected", STRING, "Its expected value."),
    ],
};

pub(super) const COMPLIANT: Field =
    optional("compliant", Form::Flag, "Whether this policy passes.");
const VIOLATION_LIST: Form = Form::List {
    items: &Form::Object(&EXPECTED_VIOLATION),
    at_least: 0,
};
pub(super) const VIOLATIONS: Field = optional(
    "violations",
    VIOLATION_LIST,
    "All violations of this policy, in any order.",
);
pub(super) const ALLOWED: Field =
    optional("allowed", Form::Flag, "Whether the request is allowed.");
