//! Policies as the wire has them, and the documents that the registry holds.

use prost_types::Timestamp as WireTimestamp;
use serde_json::{Map, Number, Value, json};
use tonic::Status;

use crate::api::policy_engine::v1::{
    AccessControlRule, ComplianceRule, DataResidencyRule, Policy, PolicyRule, PolicyType,
    PricingRule, RateLimitingRule, SecurityRule, policy_rule,
};
use crate::control_plane::registry::TypedPolicy;
use crate::control_plane::store::{PolicyRow, VersionRow};
use crate::model::Timestamp;
use crate::policy::{self, Body, Format, Rule, ServicePolicy, ServicePolicyType};

/// The members of a document's `spec`.
pub const SPEC: [&str; 5] = ["type", "severity", "enabled", "rule", "metadata"];

/// The document that says what `policy` says.
///
/// # Errors
///
/// `INVALID_ARGUMENT` for what no document can say.
pub fn document(policy: &Policy) -> Result<String, Status> {
    let mut spec = Map::new();
    for name in SPEC {
        let value = member(policy, name)?;
        if !value.is_null() {
            spec.insert(name.into(), value);
        }
    }
    Ok(json!({
        "apiVersion": "lictor.dev/v1",
        "kind": "ServicePolicy",
        "metadata": {"name": policy.name},
        "spec": spec,
    })
    .to_string())
}

/// One member of a document's `spec`; null where the policy says nothing of it.
///
/// # Errors
///
/// `INVALID_ARGUMENT` for what no document can say.
pub fn member(policy: &Policy, name: &str) -> Result<Value, Status> {
    Ok(match name {
        "type" => kind(policy)?.into(),
        "severity" => policy.severity.as_str().into(),
        "enabled" => policy.enabled.into(),
        "rule" => rule(policy)?,
        "metadata" => json!(policy.metadata),
        _ => Value::Null,
    })
}

/// The word of a policy's type.
fn kind(policy: &Policy) -> Result<&'static str, Status> {
    match PolicyType::try_from(policy.r#type) {
        Ok(PolicyType::Unspecified) => {
            Err(Status::invalid_argument("`policy.type` is not specified"))
        }
        Ok(kind) => Ok(kind.as_str_name()),
        Err(_) => Err(Status::invalid_argument(format!(
            "`policy.type` is {}, which is no type of policy",
            policy.r#type
        ))),
    }
}

/// A policy's rule under its name; null where there is none.
fn rule(policy: &Policy) -> Result<Value, Status> {
    let Some(rule) = policy.rule.as_ref().and_then(|rule| rule.rule.as_ref()) else {
        return Ok(Value::Null);
    };
    let mut said = Said::default();
    let name = match rule {
        policy_rule::Rule::DataResidency(rule) => {
            said.texts("allowed_countries", &rule.allowed_countries);
            said.texts("blocked_countries", &rule.blocked_countries);
            said.flag("require_specification", rule.require_specification);
            said.integer("minimum_locations", rule.minimum_locations.into());
            "data_residency"
        }
        policy_rule::Rule::Compliance(rule) => {
            said.texts("required_certifications", &rule.required_certifications);
            said.flag("require_gdpr_compliance", rule.require_gdpr_compliance);
            said.flag("require_hipaa_compliance", rule.require_hipaa_compliance);
            said.flag("require_soc2_compliance", rule.require_soc2_compliance);
            said.text("minimum_compliance_level", &rule.minimum_compliance_level);
            "compliance"
        }
        policy_rule::Rule::Security(rule) => {
            let (rest, transit) = (
                rule.require_encryption_at_rest,
                rule.require_encryption_in_transit,
            );
            said.flag("require_https", rule.require_https);
            said.flag("require_authentication", rule.require_authentication);
            said.texts(
                "allowed_authentication_types",
                &rule.allowed_authentication_types,
            );
            said.flag("require_encryption_at_rest", rest);
            said.flag("require_encryption_in_transit", transit);
            said.integer("minimum_tls_version", rule.minimum_tls_version.into());
            "security"
        }
        policy_rule::Rule::Pricing(rule) => {
            said.double("max_rate_per_token", rule.max_rate_per_token)?;
            said.double("max_rate_per_request", rule.max_rate_per_request)?;
            said.flag("require_free_tier", rule.require_free_tier);
            said.double(
                "minimum_sla_for_enterprise",
                rule.minimum_sla_for_enterprise,
            )?;
            "pricing"
        }
        policy_rule::Rule::AccessControl(rule) => {
            said.texts("allowed_user_roles", &rule.allowed_user_roles);
            said.texts("blocked_user_ids", &rule.blocked_user_ids);
            said.flag("require_approval", rule.require_approval);
            said.texts("allowed_ip_ranges", &rule.allowed_ip_ranges);
            "access_control"
        }
        policy_rule::Rule::RateLimiting(rule) => {
            said.integer("max_requests_per_minute", rule.max_requests_per_minute);
            said.integer("max_requests_per_hour", rule.max_requests_per_hour);
            said.integer("max_requests_per_day", rule.max_requests_per_day);
            said.integer("max_tokens_per_request", rule.max_tokens_per_request);
            "rate_limiting"
        }
    };
    Ok(json!({name: said.0}))
}

/// Members of a rule; what is at its default is left out, as on the wire.
#[derive(Default)]
struct Said(Map<String, Value>);

impl Said {
    fn texts(&mut self, name: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.0.insert(name.into(), texts.into());
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(name.into(), text.into());
        }
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.0.insert(name.into(), true.into());
        }
    }

    fn integer(&mut self, name: &str, value: i64) {
        if value != 0 {
            self.0.insert(name.into(), value.into());
        }
    }

    fn double(&mut self, name: &str, value: f64) -> Result<(), Status> {
        let number = Number::from_f64(value).ok_or_else(|| {
            Status::invalid_argument(format!(
                "`policy.rule.{name}` is {value}, which is no number"
            ))
        })?;
        if value != 0.0 {
            self.0.insert(name.into(), number.into());
        }
        Ok(())
    }
}

/// A policy of the registry as the wire has it.
///
/// # Errors
///
/// `INTERNAL` where the store holds what this program does not understand.
pub fn typed(typed: &TypedPolicy) -> Result<Policy, Status> {
    shown(&typed.policy, &typed.version)
}

/// A policy with one of its versions.
///
/// # Errors
///
/// As [`typed`].
pub fn shown(policy: &PolicyRow, version: &VersionRow) -> Result<Policy, Status> {
    let service = service(policy, version)?;
    Ok(Policy {
        id: policy.id.to_string(),
        name: policy.name.clone(),
        description: policy.description.clone().unwrap_or_default(),
        r#type: wire_type(service.kind).into(),
        enabled: service.enabled,
        severity: service.severity.as_str().to_owned(),
        rule: service.rule.map(wire_rule),
        metadata: service.metadata.into_iter().collect(),
        created_at: Some(timestamp(policy.created_at)),
        updated_at: Some(timestamp(policy.updated_at)),
        version: version.version.clone(),
    })
}

fn service(policy: &PolicyRow, version: &VersionRow) -> Result<ServicePolicy, Status> {
    let unreadable = |reason: String| {
        tracing::error!(policy = %policy.id, version = version.version, reason, "a stored policy cannot be read");
        Status::internal("internal error")
    };
    let text = version.content.as_bytes();
    let documents = policy::parse(&policy.name, text, Format::Json, policy.tenant.as_str())
        .map_err(|errors| unreadable(errors.to_string()))?;
    match documents.into_iter().next().map(|document| document.body) {
        Some(Body::Service(service)) => Ok(service),
        _ => Err(unreadable("it is no ServicePolicy".into())),
    }
}

const fn wire_type(kind: ServicePolicyType) -> PolicyType {
    match kind {
        ServicePolicyType::DataResidency => PolicyType::DataResidency,
        ServicePolicyType::Compliance => PolicyType::Compliance,
        ServicePolicyType::Security => PolicyType::Security,
        ServicePolicyType::Pricing => PolicyType::Pricing,
        ServicePolicyType::AccessControl => PolicyType::AccessControl,
        ServicePolicyType::RateLimiting => PolicyType::RateLimiting,
        ServicePolicyType::ContentFiltering => PolicyType::ContentFiltering,
        ServicePolicyType::DataClassification => PolicyType::DataClassification,
    }
}

fn wire_rule(rule: Rule) -> PolicyRule {
    let rule = match rule {
        Rule::DataResidency(rule) => policy_rule::Rule::DataResidency(DataResidencyRule {
            allowed_countries: rule.allowed_countries,
            blocked_countries: rule.blocked_countries,
            require_specification: rule.require_specification,
            minimum_locations: rule.minimum_locations,
        }),
        Rule::Compliance(rule) => policy_rule::Rule::Compliance(ComplianceRule {
            required_certifications: rule.required_certifications,
            require_gdpr_compliance: rule.require_gdpr_compliance,
            require_hipaa_compliance: rule.require_hipaa_compliance,
            require_soc2_compliance: rule.require_soc2_compliance,
            minimum_compliance_level: rule.minimum_compliance_level,
        }),
        Rule::Security(rule) => policy_rule::Rule::Security(SecurityRule {
            require_https: rule.require_https,
            require_authentication: rule.require_authentication,
            allowed_authentication_types: rule.allowed_authentication_types,
            require_encryption_at_rest: rule.require_encryption_at_rest,
            require_encryption_in_transit: rule.require_encryption_in_transit,
            minimum_tls_version: rule.minimum_tls_version,
        }),
        Rule::Pricing(rule) => policy_rule::Rule::Pricing(PricingRule {
            max_rate_per_token: rule.max_rate_per_token,
            max_rate_per_request: rule.max_rate_per_request,
            require_free_tier: rule.require_free_tier,
            minimum_sla_for_enterprise: rule.minimum_sla_for_enterprise,
        }),
        Rule::AccessControl(rule) => policy_rule::Rule::AccessControl(AccessControlRule {
            allowed_user_roles: rule.allowed_user_roles,
            blocked_user_ids: rule.blocked_user_ids,
            require_approval: rule.require_approval,
            allowed_ip_ranges: rule.allowed_ip_ranges,
        }),
        Rule::RateLimiting(rule) => policy_rule::Rule::RateLimiting(RateLimitingRule {
            max_requests_per_minute: rule.max_requests_per_minute,
            max_requests_per_hour: rule.max_requests_per_hour,
            max_requests_per_day: rule.max_requests_per_day,
            max_tokens_per_request: rule.max_tokens_per_request,
        }),
    };
    PolicyRule { rule: Some(rule) }
}

/// A moment as the wire has it.
pub fn timestamp(moment: Timestamp) -> WireTimestamp {
    let nanos = moment.unix_nanos();
    WireTimestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}
