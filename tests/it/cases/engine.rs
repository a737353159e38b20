//! The questions as messages of the policy engine's API, where those can say them, and its answers in the words of the
//! cases.

use std::collections::HashMap;

use lictor::api::policy_engine::v1::{
    CheckAccessRequest, ConsumptionContext, PolicyViolation, PricingTier, ServiceCompliance,
    ServiceEndpoint, ServicePricing, ServiceSla, ValidateConsumptionRequest,
    ValidateServiceRequest,
};
use serde_json::{Map, Value, json};

use super::door::{bundle, by_bundle};
use super::{Question, difference};
use crate::support::engine::Engine;
use crate::support::pod::Pod;
use crate::support::sidecar::Sidecar;

/// What the service answers, with the revision that did; none where a message cannot say the question.
fn ask(engine: &Engine, question: &Question) -> Option<Result<Value, String>> {
    if !question.claims.is_null() {
        return None;
    }
    let failed = |status: tonic::Status| status.to_string();
    Some(match question.ask.as_str() {
        "validate" => engine
            .validate_service(service(&question.input)?)
            .map(|response| {
                let revision = revision(response.metadata());
                let response = response.into_inner();
                let metadata = response.metadata.unwrap();
                json!({
                    "compliant": response.compliant,
                    "violations": violations(response.violations),
                    "policy_version": response.policy_version,
                    "metadata": {
                        "policies_evaluated": metadata.policies_evaluated,
                        "policies_passed": metadata.policies_passed,
                        "policies_failed": metadata.policies_failed,
                    },
                    "revision": revision,
                })
            })
            .map_err(failed),
        "check" => engine
            .check_access(access(&question.input)?)
            .map(|response| {
                let revision = revision(response.metadata());
                let response = response.into_inner();
                json!({
                    "allowed": response.allowed,
                    "reason": response.reason,
                    "required_permissions": response.required_permissions,
                    "missing_permissions": response.missing_permissions,
                    "revision": revision,
                })
            })
            .map_err(failed),
        "consumption" => engine
            .validate_consumption(consumption(&question.input)?)
            .map(|response| {
                let revision = revision(response.metadata());
                let response = response.into_inner();
                let limits = response.limits.unwrap();
                json!({
                    "allowed": response.allowed,
                    "reason": response.reason,
                    "violations": violations(response.violations),
                    "limits": {
                        "max_tokens": limits.max_tokens,
                        "max_requests_per_minute": limits.max_requests_per_minute,
                        "max_requests_per_day": limits.max_requests_per_day,
                        "max_cost_per_request": limits.max_cost_per_request,
                    },
                    "revision": revision,
                })
            })
            .map_err(failed),
        _ => return None,
    })
}

/// What of an expectation a message can say: nothing beyond its members, and nothing as an empty text.
fn sayable(expected: &Value) -> Value {
    let mut expected = expected.clone();
    if let Value::Object(members) = &mut expected {
        for name in ["errors", "variants", "rule", "decision_id"] {
            members.remove(name);
        }
        for violation in members
            .get_mut("violations")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            for value in violation
                .as_object_mut()
                .into_iter()
                .flat_map(Map::values_mut)
            {
                if value.is_null() {
                    *value = json!("");
                }
            }
        }
    }
    expected
}

fn revision(metadata: &tonic::metadata::MetadataMap) -> String {
    let revision = metadata.get("x-lictor-revision").unwrap();
    revision.to_str().unwrap().to_owned()
}

fn violations(violations: Vec<PolicyViolation>) -> Value {
    violations
        .into_iter()
        .map(|violation| {
            json!({
                "policy_id": violation.policy_id,
                "policy_name": violation.policy_name,
                "severity": violation.severity,
                "message": violation.message,
                "remediation": violation.remediation,
                "field": violation.field,
                "actual_value": violation.actual_value,
                "expected_value": violation.expected_value,
            })
        })
        .collect()
}

/// The members of an object, which are taken out one by one.
struct Members(Map<String, Value>);

impl Members {
    fn of(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        let camel = words.fold(first, |camel, word| {
            camel + &word[..1].to_uppercase() + &word[1..]
        });
        self.0.remove(name).or_else(|| self.0.remove(&camel))
    }

    /// None where it is no text; empty where it is absent.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name) {
            None => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        }
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name).map_or(Some(false), |value| value.as_bool())
    }

    fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let items = self.take(name).unwrap_or_else(|| json!([]));
        let items = items.as_array()?.iter();
        items.map(|item| item.as_str().map(str::to_owned)).collect()
    }

    fn map(&mut self, name: &str) -> Option<HashMap<String, String>> {
        let members = self.take(name).unwrap_or_else(|| json!({}));
        let members = members.as_object()?.iter();
        members
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// None where something is left that no message has.
    fn nothing_left(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn service(input: &Value) -> Option<ValidateServiceRequest> {
    let mut members = Members::of(input)?;
    let request = ValidateServiceRequest {
        service_id: members.text("service_id")?,
        name: members.text("name")?,
        version: members.text("version")?,
        description: members.text("description")?,
        provider_id: members.text("provider_id")?,
        category: members.text("category")?,
        endpoint: optional(members.take("endpoint"), endpoint).ok()?,
        compliance: optional(members.take("compliance"), compliance).ok()?,
        sla: optional(members.take("sla"), sla).ok()?,
        pricing: optional(members.take("pricing"), pricing).ok()?,
        capabilities: Vec::new(),
    };
    members.nothing_left()?;
    Some(request)
}

/// No message has it.
struct Unsayable;

/// A message, where there is one.
fn optional<M>(
    value: Option<Value>,
    read: fn(&mut Members) -> Option<M>,
) -> Result<Option<M>, Unsayable> {
    value
        .map(|value| message(&value, read).ok_or(Unsayable))
        .transpose()
}

fn message<M>(value: &Value, read: fn(&mut Members) -> Option<M>) -> Option<M> {
    let mut members = Members::of(value)?;
    let message = read(&mut members)?;
    members.nothing_left()?;
    Some(message)
}

fn endpoint(members: &mut Members) -> Option<ServiceEndpoint> {
    Some(ServiceEndpoint {
        url: members.text("url")?,
        protocol: members.text("protocol")?,
        authentication: members.text("authentication")?,
    })
}

fn compliance(members: &mut Members) -> Option<ServiceCompliance> {
    Some(ServiceCompliance {
        level: members.text("level")?,
        certifications: members.texts("certifications")?,
        data_residency: members.texts("data_residency")?,
        gdpr_compliant: members.flag("gdpr_compliant")?,
        hipaa_compliant: members.flag("hipaa_compliant")?,
    })
}

fn sla(members: &mut Members) -> Option<ServiceSla> {
    Some(ServiceSla {
        // Left out it would be 0, and what is 0 is too low.
        availability: members.take("availability")?.as_f64()?,
        max_latency: 0,
        support_level: members.text("support_level")?,
    })
}

fn pricing(members: &mut Members) -> Option<ServicePricing> {
    let rates = members.take("rates").unwrap_or_else(|| json!([]));
    let rates = rates.as_array()?.iter().map(|rate| {
        message(rate, |members| {
            Some(PricingTier {
                tier: members.text("tier")?,
                // Left out it would be 0, and what is 0 is free.
                rate: members.take("rate")?.as_f64()?,
                unit: members.text("unit")?,
                description: members.text("description")?,
            })
        })
    });
    Some(ServicePricing {
        rates: rates.collect::<Option<_>>()?,
        model: members.text("model")?,
        currency: members.text("currency")?,
    })
}

fn access(input: &Value) -> Option<CheckAccessRequest> {
    let mut members = Members::of(input)?;
    let request = CheckAccessRequest {
        user_id: members.text("user_id")?,
        service_id: members.text("service_id")?,
        action: members.text("action")?,
        context: members.map("context")?,
    };
    members.nothing_left()?;
    Some(request)
}

fn consumption(input: &Value) -> Option<ValidateConsumptionRequest> {
    let mut members = Members::of(input)?;
    let request = ValidateConsumptionRequest {
        consumer_id: members.text("consumer_id")?,
        service_id: members.text("service_id")?,
        request_payload: members.text("request_payload")?,
        headers: members.map("headers")?,
        context: optional(members.take("context"), |members| {
            Some(ConsumptionContext {
                ip_address: members.text("ip_address")?,
                user_agent: members.text("user_agent")?,
                region: members.text("region")?,
                metadata: members.map("metadata")?,
            })
        })
        .ok()?,
    };
    members.nothing_left()?;
    Some(request)
}

#[test]
fn the_policy_engines_api_decides_every_case_that_its_messages_can_say() {
    let cases = super::cases();
    let (mut wrongs, mut asked) = (Vec::new(), 0);
    let pod = Pod::new();
    let mut running: Option<(Sidecar, Engine)> = None;
    for (number, group) in (1..).zip(by_bundle(&cases)) {
        pod.put(&bundle(number, group[0]));
        let (sidecar, engine) = running.get_or_insert_with(|| {
            let sidecar = pod.start();
            let engine = Engine::connect(sidecar.grpc);
            (sidecar, engine)
        });
        sidecar.sync();
        sidecar.wait_for_number(number);
        for case in group {
            for (index, question) in case.questions.iter().enumerate() {
                let Some(answer) = ask(engine, question) else {
                    continue;
                };
                asked += 1;
                let what = answer.map_or_else(Some, |got| {
                    let revision = got["revision"].as_str().unwrap();
                    assert!(revision.starts_with(&format!("{number}-")), "{revision}");
                    difference(&sayable(&question.expect), &got, "")
                        .map(|what| format!("{what}\n  {got}"))
                });
                wrongs.extend(what.map(|what| format!("{} [{index}]: {what}", case.name)));
            }
        }
    }
    assert!(wrongs.is_empty(), "\n{}", wrongs.join("\n"));
    assert!(asked >= 30, "only {asked} questions could be said");
}
