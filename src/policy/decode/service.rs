//! Decodes a ServicePolicy.

use super::super::cursor::{Cursor, Errors};
use super::super::document::{
    AccessControl, Compliance, DataResidency, Pricing, RateLimiting, Rule, Security, ServicePolicy,
    ServicePolicyType,
};
use super::super::shape::{LEVELS, RULES};
use super::{severity, string_map};

pub(super) fn decode(root: &Cursor<'_>, errors: &mut Errors) -> ServicePolicy {
    let spec = root.at("spec");
    let written = spec.at("type");
    check_rule(&spec, written.text(), errors);
    check_steering(&spec.at("metadata"), errors);
    let rule = spec.at("rule");
    let (kind, rule) = match written.text() {
        "DATA_RESIDENCY" => (
            ServicePolicyType::DataResidency,
            Some(data_residency(&rule.at("data_residency"))),
        ),
        "COMPLIANCE" => (
            ServicePolicyType::Compliance,
            Some(compliance(&rule.at("compliance"))),
        ),
        "SECURITY" => (
            ServicePolicyType::Security,
            Some(security(&rule.at("security"))),
        ),
        "PRICING" => (
            ServicePolicyType::Pricing,
            Some(pricing(&rule.at("pricing"))),
        ),
        "ACCESS_CONTROL" => (
            ServicePolicyType::AccessControl,
            Some(access_control(&rule.at("access_control"))),
        ),
        "RATE_LIMITING" => (
            ServicePolicyType::RateLimiting,
            Some(rate_limiting(&rule.at("rate_limiting"))),
        ),
        "CONTENT_FILTERING" => (ServicePolicyType::ContentFiltering, None),
        _ => (ServicePolicyType::DataClassification, None),
    };
    ServicePolicy {
        kind,
        severity: severity(&spec.at("severity")),
        enabled: spec.at("enabled").flag().unwrap_or(true),
        rule,
        metadata: string_map(&spec.at("metadata")),
        place: spec.place(&errors.file),
    }
}

/// Reports a rule that is missing, or that is another type's.
fn check_rule(spec: &Cursor<'_>, kind: &str, errors: &mut Errors) {
    let Some((_, expected)) = RULES.iter().find(|(name, _)| *name == kind) else {
        return;
    };
    let rule = spec.at("rule");
    let Some(expected) = expected else {
        if spec.has("rule") {
            errors.push(
                &rule,
                format!("{kind} has no typed rule: what it checks stands in `spec.metadata`"),
            );
        }
        return;
    };
    if !rule.has(expected) {
        errors.push(&rule, format!("{kind} needs `rule.{expected}`"));
    }
    for (name, value) in rule.entries() {
        if !super::super::cursor::is_spelling(name, expected) {
            errors.push(&value, format!("the rule of {kind} is `{expected}` alone"));
        }
    }
}

/// Reports values that steer the evaluation and are not understood.
fn check_steering(metadata: &Cursor<'_>, errors: &mut Errors) {
    for (name, value) in metadata.entries() {
        let Some(text) = value.optional_text() else {
            continue;
        };
        match name {
            "applies_from_level" | "classification_max" if !LEVELS.contains(&text) => {
                let known = LEVELS.join("`, `");
                errors.push(&value, format!("`{text}` is none of `{known}`"));
            }
            "certification_match" if !matches!(text, "any" | "all") => {
                errors.push(&value, format!("`{text}` is neither `any` nor `all`"));
            }
            "max_payload_bytes" if text.parse::<u64>().is_err() => {
                errors.push(&value, format!("`{text}` is no number of bytes"));
            }
            _ => {}
        }
    }
}

fn data_residency(rule: &Cursor<'_>) -> Rule {
    Rule::DataResidency(DataResidency {
        allowed_countries: rule.at("allowed_countries").texts(),
        blocked_countries: rule.at("blocked_countries").texts(),
        require_specification: rule.at("require_specification").flag().unwrap_or(false),
        minimum_locations: rule.at("minimum_locations").number(),
    })
}

fn compliance(rule: &Cursor<'_>) -> Rule {
    let flag = |name| rule.at(name).flag().unwrap_or(false);
    Rule::Compliance(Compliance {
        required_certifications: rule.at("required_certifications").texts(),
        require_gdpr_compliance: flag("require_gdpr_compliance"),
        require_hipaa_compliance: flag("require_hipaa_compliance"),
        require_soc2_compliance: flag("require_soc2_compliance"),
        minimum_compliance_level: rule.at("minimum_compliance_level").text().to_owned(),
    })
}

fn security(rule: &Cursor<'_>) -> Rule {
    let flag = |name| rule.at(name).flag().unwrap_or(false);
    Rule::Security(Security {
        require_https: flag("require_https"),
        require_authentication: flag("require_authentication"),
        allowed_authentication_types: rule.at("allowed_authentication_types").texts(),
        require_encryption_at_rest: flag("require_encryption_at_rest"),
        require_encryption_in_transit: flag("require_encryption_in_transit"),
        minimum_tls_version: rule.at("minimum_tls_version").number(),
    })
}

fn pricing(rule: &Cursor<'_>) -> Rule {
    Rule::Pricing(Pricing {
        max_rate_per_token: rule.at("max_rate_per_token").number(),
        max_rate_per_request: rule.at("max_rate_per_request").number(),
        require_free_tier: rule.at("require_free_tier").flag().unwrap_or(false),
        minimum_sla_for_enterprise: rule.at("minimum_sla_for_enterprise").number(),
    })
}

fn access_control(rule: &Cursor<'_>) -> Rule {
    Rule::AccessControl(AccessControl {
        allowed_user_roles: rule.at("allowed_user_roles").texts(),
        blocked_user_ids: rule.at("blocked_user_ids").texts(),
        require_approval: rule.at("require_approval").flag().unwrap_or(false),
        allowed_ip_ranges: rule.at("allowed_ip_ranges").texts(),
    })
}

fn rate_limiting(rule: &Cursor<'_>) -> Rule {
    Rule::RateLimiting(RateLimiting {
        max_requests_per_minute: rule.at("max_requests_per_minute").number(),
        max_requests_per_hour: rule.at("max_requests_per_hour").number(),
        max_requests_per_day: rule.at("max_requests_per_day").number(),
        max_tokens_per_request: rule.at("max_tokens_per_request").number(),
    })
}
