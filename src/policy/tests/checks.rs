//! What authors are told about the values of a validation policy, a typed rule and a decision test.

use super::{report, single};

#[test]
fn values_are_what_their_fields_want() {
    for (spec, expected) in [
        ("{severity: low, validations: []}", "must not be empty"),
        (
            "{severity: low, validations: {}}",
            "expected a list, found an object",
        ),
        (
            "{severity: 3, validations: [{expression: x, message: m}]}",
            "expected a string",
        ),
        (
            "{severity: low, validations: [{expression: x, message: 3}]}",
            "put it in quotes",
        ),
        (
            "{severity: low, validations: [{expression: , message: m}]}",
            "expected an expression, found null",
        ),
        (
            "{severity: low, validations: [{expression: ' ', message: m}]}",
            "must not be empty",
        ),
        (
            "{severity: low, validations: [{message: m}]}",
            "the field `expression` is missing",
        ),
        (
            "{severity: low, variables: {a-b: x}, validations: [{expression: x, message: m}]}",
            "no identifier",
        ),
        ("[]", "expected an object, found a list"),
    ] {
        let report = single("ValidationPolicy", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
}

#[test]
fn typed_rules_are_checked() {
    for (spec, expected) in [
        (
            "{type: SECURITY, severity: low}",
            "SECURITY needs `rule.security`",
        ),
        (
            "{type: security, severity: low}",
            "did you mean `SECURITY`?",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}, pricing: {}}}",
            "spec.rule.pricing: the rule of SECURITY is `security` alone",
        ),
        (
            "{type: CONTENT_FILTERING, severity: low, rule: {}}",
            "has no typed rule",
        ),
        (
            "{type: ACCESS_CONTROL, severity: low, rule: {access_control: {allowed_ip_ranges: [10.0.0.0]}}}",
            "spec.rule.access_control.allowed_ip_ranges[0]: `10.0.0.0` is no CIDR range",
        ),
        (
            "{type: COMPLIANCE, severity: low, rule: {compliance: {minimum_compliance_level: secret}}}",
            "`secret` is none of `public`, `internal`, `confidential`, `restricted`",
        ),
        (
            "{type: DATA_RESIDENCY, severity: low, rule: {data_residency: {minimum_locations: -1}}}",
            "`-1` is not between 0 and 2147483647",
        ),
        (
            "{type: DATA_RESIDENCY, severity: low, rule: {data_residency: {minimum_locations: 1.5}}}",
            "expected a whole number",
        ),
        (
            "{type: PRICING, severity: low, rule: {pricing: {minimum_sla_for_enterprise: 101}}}",
            "`101` is more than 100",
        ),
        (
            "{type: PRICING, severity: low, rule: {pricing: {max_rate_per_token: -0.1}}}",
            "`-0.1` is less than 0",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {sanctions: true}}",
            "put it in quotes",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {certification_match: some}}",
            "`some` is neither `any` nor `all`",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {}}, metadata: {applies_from_level: top}}",
            "`top` is none of",
        ),
        (
            "{type: CONTENT_FILTERING, severity: low, metadata: {max_payload_bytes: 1k}}",
            "no number of bytes",
        ),
        (
            "{type: SECURITY, severity: low, rule: {security: {require_htps: true}}}",
            "did you mean `require_https`?",
        ),
    ] {
        let report = single("ServicePolicy", spec);
        assert!(report.contains(expected), "{spec}: {report}");
    }
}

#[test]
fn decision_tests_are_checked() {
    let access = "apiVersion: lictor.dev/v1\nkind: AccessPolicy\nmetadata: {name: n}\n\
                  spec: {resources: ['*'], rules: [{effect: allow}]}\ntests:\n";
    let input = "input: {subject: {}, action: {}, resource: {}}";
    for (test, expected) in [
        (
            format!("{{name: a, {input}, expect: {{}}}}"),
            "expects nothing",
        ),
        (
            "{name: a, expect: {allowed: true}}".to_owned(),
            "`input` or `http`",
        ),
        (
            format!("{{name: a, {input}, jwt: {{}}, expect: {{allowed: true}}}}"),
            "`jwt` goes with `http`",
        ),
        (
            format!("{{name: a, {input}, expect: {{status: 403}}}}"),
            "`status` goes with `http`",
        ),
        (
            "{name: a, input: {subject: {}}, expect: {allowed: true}}".to_owned(),
            "the field `action` is missing",
        ),
        (
            "{name: a, http: {path: /}, expect: {allowed: true}}".to_owned(),
            "the field `method` is missing",
        ),
        (
            format!("{{name: a, {input}, expect: {{compliant: true}}}}"),
            "unknown field `compliant`",
        ),
    ] {
        let report = report(&format!("{access}  - {test}\n")).join("\n");
        assert!(report.contains(expected), "{test}: {report}");
    }
    let twice = format!("  - {{name: a, {input}, expect: {{allowed: true}}}}\n").repeat(2);
    assert!(report(&format!("{access}{twice}"))[0].contains("`a` is there twice"));
    let service = "apiVersion: lictor.dev/v1\nkind: ServicePolicy\nmetadata: {name: n}\n\
                   spec: {type: SECURITY, severity: low, rule: {security: {}}}\n\
                   tests: [{name: a, input: {}, expect: {allowed: true}}]\n";
    assert!(report(service)[0].contains("does not answer `allowed`"));
}
