//! Decodes a ValidationPolicy.

use std::sync::Arc;

use super::super::cursor::{Cursor, Errors};
use super::super::document::{ValidationPolicy, ValidationRule};
use super::severity;

pub(super) fn decode(root: &Cursor<'_>, errors: &Errors) -> ValidationPolicy {
    let file = &errors.file;
    let spec = root.at("spec");
    ValidationPolicy {
        kind: spec.at("type").text().to_owned(),
        severity: severity(&spec.at("severity")),
        matches: spec
            .at("match")
            .items()
            .map(|item| item.expression(file))
            .collect(),
        variables: spec.at("variables").named(file),
        validations: spec
            .at("validations")
            .items()
            .map(|item| rule(&item, file))
            .collect(),
    }
}

fn rule(item: &Cursor<'_>, file: &Arc<str>) -> ValidationRule {
    ValidationRule {
        expression: item.at("expression").expression(file),
        field: item.at("field").text().to_owned(),
        message: item.at("message").text().to_owned(),
        remediation: item.at("remediation").text().to_owned(),
        expected: item.at("expected").optional_text().map(str::to_owned),
        actual: item.optional_expression("actual", file),
    }
}
