//! ServicePolicies: every row of the policy engine's table, and the decisions that depart from the original.

use super::*;

fn policy(kind: &str, rule: &str, metadata: &str) -> Program {
    program(&format!(
        "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {{name: p}}
spec:
  type: {kind}
  severity: high
  enabled: true
  rule: {rule}
  metadata: {metadata}
"
    ))
}

fn residency(rule: &str) -> Program {
    policy(
        "DATA_RESIDENCY",
        &format!("{{data_residency: {rule}}}"),
        "{}",
    )
}

#[test]
fn residency_must_be_specified() {
    let program = residency("{require_specification: true, minimum_locations: 2}");
    let none = ["compliance.dataResidency|none|at least one location"];
    assert_eq!(violations(&program, "{}"), none);
    assert_eq!(violations(&program, r#"{"compliance":{}}"#), none);
    assert_eq!(
        violations(&program, r#"{"compliance":{"data_residency":[]}}"#),
        none
    );
    assert_eq!(violations(&program, r#"{"compliance":null}"#), none);
    assert_eq!(
        violations(&program, r#"{"compliance":{"data_residency":["DE"]}}"#),
        ["compliance.dataResidency|1|at least 2"]
    );
    assert_eq!(
        violations(&program, r#"{"compliance":{"dataResidency":["DE","FR"]}}"#),
        [""; 0]
    );
}

#[test]
fn too_few_locations_stop_the_policy_an_absent_block_included() {
    let program = residency("{minimum_locations: 1, blocked_countries: [KP]}");
    assert_eq!(
        violations(&program, "{}"),
        ["compliance.dataResidency|0|at least 1"]
    );
}

#[test]
fn countries_are_compared_without_case_and_reported_as_sent() {
    let program = residency("{blocked_countries: [KP, IR], allowed_countries: [de, ir]}");
    assert_eq!(
        violations(
            &program,
            r#"{"compliance":{"data_residency":[" kp","DE","ir","fr"]}}"#
        ),
        [
            "compliance.dataResidency| kp|not in blocked list",
            "compliance.dataResidency|ir|not in blocked list",
            "compliance.dataResidency| kp|in allowed list",
            "compliance.dataResidency|fr|in allowed list",
        ]
    );
    let open = residency("{blocked_countries: [KP], allowed_countries: []}");
    assert_eq!(
        violations(&open, r#"{"compliance":{"data_residency":["FR"]}}"#),
        [""; 0]
    );
}

#[test]
fn a_field_of_the_wrong_type_fails() {
    let program = residency("{blocked_countries: [KP]}");
    for wrong in [r#""KP""#, "1", r#"["DE",1]"#, "{}"] {
        let found = violations(
            &program,
            &format!(r#"{{"compliance":{{"data_residency":{wrong}}}}}"#),
        );
        assert_eq!(
            found,
            ["compliance.dataResidency|-|a list of strings"],
            "{wrong}"
        );
    }
}

fn compliance(rule: &str, metadata: &str) -> Program {
    policy("COMPLIANCE", &format!("{{compliance: {rule}}}"), metadata)
}

#[test]
fn certifications_and_level() {
    let program = compliance(
        "{required_certifications: [SOC2, ISO27001], minimum_compliance_level: confidential}",
        "{}",
    );
    assert_eq!(
        violations(&program, "{}"),
        [
            "compliance.certifications||SOC2",
            "compliance.certifications||ISO27001",
            "compliance.level||at least confidential",
        ]
    );
    let input = r#"{"compliance":{"certifications":["soc2","PCI"],"level":"Internal"}}"#;
    assert_eq!(
        violations(&program, input),
        [
            "compliance.certifications|soc2, PCI|ISO27001",
            "compliance.level|Internal|at least confidential",
        ]
    );
    let input = r#"{"compliance":{"certifications":["Soc2","iso27001"],"level":" RESTRICTED "}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

#[test]
fn metadata_steers_the_third_default_policy() {
    let program = compliance(
        "{required_certifications: [SOC2, ISO27001], minimum_compliance_level: confidential}",
        "{applies_from_level: confidential, certification_match: any}",
    );
    assert_eq!(
        violations(&program, r#"{"compliance":{"level":"public"}}"#),
        [""; 0]
    );
    assert_eq!(violations(&program, "{}"), [""; 0]);
    assert_eq!(
        violations(
            &program,
            r#"{"compliance":{"level":"confidential","certifications":["PCI"]}}"#
        ),
        ["compliance.certifications|PCI|SOC2, ISO27001"]
    );
    let input = r#"{"compliance":{"level":"confidential","certifications":["iso27001"]}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

#[test]
fn flags() {
    let program = compliance(
        "{require_gdpr_compliance: true, require_hipaa_compliance: true, require_soc2_compliance: true}",
        "{}",
    );
    assert_eq!(
        violations(&program, "{}"),
        [
            "compliance.gdprCompliant|false|true",
            "compliance.hipaaCompliant|false|true",
            "compliance.certifications||SOC2",
        ]
    );
    let input =
        r#"{"compliance":{"gdpr_compliant":true,"hipaaCompliant":true,"certifications":["SOC2"]}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

fn security(rule: &str) -> Program {
    policy("SECURITY", &format!("{{security: {rule}}}"), "{}")
}

#[test]
fn https_and_authentication() {
    let program = security(
        "{require_https: true, require_authentication: true, allowed_authentication_types: [jwt]}",
    );
    assert_eq!(
        violations(&program, "{}"),
        [
            "endpoint.url||https://...",
            "endpoint.authentication|none|an authentication type (api-key, oauth2, jwt)",
        ]
    );
    assert_eq!(
        violations(
            &program,
            r#"{"endpoint":{"url":"http://a","authentication":"oauth2"}}"#
        ),
        [
            "endpoint.url|http://a|https://...",
            "endpoint.authentication|oauth2|one of allowed types",
        ]
    );
    let input = r#"{"endpoint":{"url":"HTTPS://a","authentication":"JWT"}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

#[test]
fn encryption_is_looked_at_only_where_the_input_says_something() {
    let program = security(
        "{require_encryption_at_rest: true, require_encryption_in_transit: true, minimum_tls_version: 13}",
    );
    assert_eq!(violations(&program, "{}"), [""; 0]);
    let input = r#"{"metadata":{"encryption_at_rest":"false","encryptionInTransit":false,"tls_version":"1.2"}}"#;
    assert_eq!(
        violations(&program, input),
        [
            "metadata.encryptionAtRest|false|true",
            "metadata.encryptionInTransit|false|true",
            "metadata.tlsVersion|1.2|at least TLS 1.3",
        ]
    );
    let input = r#"{"metadata":{"encryption_at_rest":"true","encryption_in_transit":true,"tlsVersion":13}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

fn pricing(rule: &str) -> Program {
    policy("PRICING", &format!("{{pricing: {rule}}}"), "{}")
}

#[test]
fn enterprise_sla() {
    let program = pricing("{minimum_sla_for_enterprise: 99.9}");
    assert_eq!(violations(&program, "{}"), [""; 0]);
    assert_eq!(
        violations(
            &program,
            r#"{"sla":{"support_level":"Enterprise","availability":99.5}}"#
        ),
        ["sla.availability|99.5%|at least 99.9%"]
    );
    assert_eq!(
        violations(&program, r#"{"sla":{"supportLevel":"enterprise"}}"#),
        ["sla.availability|0.0%|at least 99.9%"]
    );
    let input = r#"{"sla":{"support_level":"enterprise","availability":99.9}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
    let input = r#"{"sla":{"support_level":"basic","availability":90}}"#;
    assert_eq!(violations(&program, input), [""; 0]);
}

#[test]
fn free_tier_and_rates() {
    let program =
        pricing("{require_free_tier: true, max_rate_per_token: 0.001, max_rate_per_request: 2}");
    assert_eq!(
        violations(&program, "{}"),
        ["pricing.rates|no free tier|at least one free tier"]
    );
    let input = r#"{"pricing":{"rates":[
        {"tier":"Free","rate":3,"unit":"month"},
        {"tier":"pro","rate":2,"unit":"1k tokens"},
        {"tier":"bulk","rate":1,"unit":"1k tokens"},
        {"tier":"call","rate":2.5,"unit":"request"}]}}"#;
    assert_eq!(
        violations(&program, input),
        [
            "pricing.rates|2 per 1k tokens|at most 0.001 per token",
            "pricing.rates|2.5 per request|at most 2 per request",
        ]
    );
    let found = violations(&program, r#"{"pricing":{"rates":[1]}}"#);
    assert_eq!(found, ["pricing.rates|-|a list of objects"]);
}

#[test]
fn disabled_policies_are_neither_evaluated_nor_counted() {
    let yaml = "
apiVersion: lictor.dev/v1
kind: ServicePolicy
metadata: {name: p}
spec:
  type: DATA_RESIDENCY
  severity: high
  enabled: false
  rule: {data_residency: {require_specification: true}}
";
    let off = program(yaml);
    assert_eq!(
        (off.active_policies(), violations(&off, "{}").len()),
        (0, 0)
    );
    let on = program(&yaml.replace("false", "true"));
    assert_eq!((on.active_policies(), violations(&on, "{}").len()), (1, 1));
}
