//! The shape of a ValidationPolicy.

use super::super::syntax::Syntax;
use super::common::{
    COMPLIANT, METADATA, SEVERITIES, STRING, TEST_NAME, VARIABLES, VIOLATIONS, api_version, kind,
    metadata,
};
use super::{Form, Shape, optional, required};

pub(in super::super) static VALIDATION_POLICY: Shape = Shape {
    name: "ValidationPolicy",
    about: "Validates documents by expressions.",
    camel: false,
    fields: &[
        api_version(),
        kind(&["ValidationPolicy"]),
        metadata(&METADATA),
        required("spec", Form::Object(&SPEC), "What is validated."),
        optional(
            "tests",
            Form::List {
                items: &Form::Object(&TEST),
                at_least: 0,
            },
            "Decision tests; they travel in the bundle and run before it is activated.",
        ),
    ],
};

static SPEC: Shape = Shape {
    name: "ValidationSpec",
    about: "What a ValidationPolicy validates.",
    camel: false,
    fields: &[
        optional("type", STRING, "Free text, such as SECURITY or COMPLIANCE."),
        required(
            "severity",
            Form::OneOf(&SEVERITIES),
            "How bad a violation is.",
        ),
        optional(
            "match",
            Form::List {
                items: &Form::Expression,
                at_least: 0,
            },
            "All must hold, else the policy does not apply and counts as passed.",
        ),
        optional(
            "variables",
            VARIABLES,
            "Expressions by name, used as vars.NAME and evaluated at most once.",
        ),
        required(
            "validations",
            Form::List {
                items: &Form::Object(&RULE),
                at_least: 1,
            },
            "Each must hold.",
        ),
    ],
};

static RULE: Shape = Shape {
    name: "Validation",
    about: "One condition, and what to say where it does not hold.",
    camel: false,
    fields: &[
        required(
            "expression",
            Form::Expression,
            "CEL; false or an error is a violation.",
        ),
        optional("field", STRING, "The field to blame."),
        required("message", Form::Text(Syntax::NonEmpty), "What is wrong."),
        optional("remediation", STRING, "What to do about it."),
        optional("expected", STRING, "What would be right, as text."),
        optional(
            "actual",
            Form::Expression,
            "CEL; the value found. Left out where it cannot be evaluated.",
        ),
    ],
};

static TEST: Shape = Shape {
    name: "ValidationTest",
    about: "A decision test of a validating policy.",
    camel: false,
    fields: &[
        TEST_NAME,
        required("input", Form::AnyObject, "The document to validate."),
        required("expect", Form::Object(&EXPECTATION), "What must come out."),
    ],
};

static EXPECTATION: Shape = Shape {
    name: "ValidationExpectation",
    about: "What a validation must give; what is left out is not compared.",
    camel: false,
    fields: &[COMPLIANT, VIOLATIONS],
};
