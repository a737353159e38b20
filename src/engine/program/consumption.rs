//! Consumption: who may use a service, with which payload, within which limits.

use std::collections::BTreeMap;

use bumpalo::collections::Vec as BumpVec;
use regex::RegexSet;

use crate::engine::Value;
use crate::engine::input::{Layout, Root, Slot};
use crate::model::{AccessReason, Consumption, ConsumptionLimits, Severity};
use crate::policy::{Rule, ServicePolicy, ServicePolicyType};

use super::access_control::{Blame, Caller};
use super::access_request::invalid;
use super::run::{Reports, Run, written};
use super::validation::{Finding, Violations, violation};
use super::version::VersionId;
use super::{EvaluateError, Program};

/// What the policy engine answers where no policy sets a limit.
const DEFAULT_LIMITS: ConsumptionLimits = ConsumptionLimits {
    max_tokens: 10_000,
    max_requests_per_minute: 1_000,
    max_requests_per_day: 100_000,
    max_cost_per_request: 1.0,
};

/// Classifications, from the least to the most confidential.
const CLASSIFICATIONS: [&str; 4] = ["public", "internal", "confidential", "restricted"];

/// A service policy that says something about consumption.
#[derive(Debug)]
pub(super) struct ConsumptionProgram {
    pub version: VersionId,
    severity: Severity,
    check: Check,
}

#[derive(Debug)]
enum Check {
    Limits {
        tokens: Option<i64>,
        minute: Option<i64>,
        day: Option<i64>,
    },
    Content {
        deny: Option<RegexSet>,
        max_bytes: Option<usize>,
        max_bytes_text: String,
    },
    Classification {
        max: usize,
        expected: String,
    },
}

/// The fields of a consumption request.
#[derive(Debug)]
pub(super) struct ConsumptionSlots {
    consumer: Slot,
    service: Slot,
    payload: Slot,
    address: Slot,
    roles: [Slot; 2],
    classification: [Slot; 2],
}

impl ConsumptionSlots {
    pub fn new(layout: &mut Layout) -> Self {
        let mut slot = |path: &[&str]| layout.slot(Root::Input, path);
        Self {
            consumer: slot(&["consumer_id"]),
            service: slot(&["service_id"]),
            payload: slot(&["request_payload"]),
            address: slot(&["context", "ip_address"]),
            roles: [
                slot(&["context", "roles"]),
                slot(&["context", "metadata", "roles"]),
            ],
            classification: [
                slot(&["context", "classification"]),
                slot(&["context", "metadata", "classification"]),
            ],
        }
    }
}

impl ConsumptionProgram {
    /// Compiles what a policy says about consumption, where it says anything; the error says what is wrong with its
    /// metadata.
    pub fn new(version: VersionId, policy: &ServicePolicy) -> Result<Option<Self>, String> {
        let check = match (&policy.rule, policy.kind) {
            (Some(Rule::RateLimiting(rule)), _) => {
                let set = |limit: i64| Some(limit).filter(|limit| *limit > 0);
                Check::Limits {
                    tokens: set(rule.max_tokens_per_request),
                    minute: set(rule.max_requests_per_minute),
                    day: set(rule.max_requests_per_day),
                }
            }
            (_, ServicePolicyType::ContentFiltering) => content(&policy.metadata)?,
            (_, ServicePolicyType::DataClassification) => classification(&policy.metadata)?,
            _ => return Ok(None),
        };
        Ok(Some(Self {
            version,
            severity: policy.severity,
            check,
        }))
    }
}

/// `deny_patterns`: a JSON list of regular expressions, or one per line. `max_payload_bytes`: a number.
fn content(metadata: &BTreeMap<String, String>) -> Result<Check, String> {
    let deny = match metadata.get("deny_patterns").map(|text| text.trim()) {
        None => None,
        Some(text) => {
            let patterns: Vec<String> = if text.starts_with('[') {
                serde_json::from_str(text)
                    .map_err(|error| format!("`deny_patterns` is no list of strings: {error}"))?
            } else {
                text.lines()
                    .map(str::to_owned)
                    .filter(|line| !line.is_empty())
                    .collect()
            };
            Some(RegexSet::new(patterns).map_err(|error| format!("`deny_patterns`: {error}"))?)
        }
    };
    let max_bytes = metadata
        .get("max_payload_bytes")
        .map(|text| {
            text.trim()
                .parse::<usize>()
                .map_err(|_| format!("`max_payload_bytes` is `{text}`, expected a number"))
        })
        .transpose()?;
    Ok(Check::Content {
        deny,
        max_bytes,
        max_bytes_text: max_bytes.map_or_else(String::new, |max| format!("at most {max} bytes")),
    })
}

fn rank(classification: &str) -> Option<usize> {
    CLASSIFICATIONS
        .iter()
        .position(|known| classification.trim().eq_ignore_ascii_case(known))
}

fn classification(metadata: &BTreeMap<String, String>) -> Result<Check, String> {
    let text = metadata
        .get("classification_max")
        .map_or("restricted", String::as_str);
    let max = rank(text).ok_or_else(|| {
        format!("`classification_max` is `{text}`, expected public, internal, confidential or restricted")
    })?;
    Ok(Check::Classification {
        max,
        expected: format!("at most {}", text.trim()),
    })
}

impl Program {
    /// Decides about the consumption in the slots.
    pub(super) fn run_consumption<'a>(
        &'a self,
        run: &mut Run<'a>,
    ) -> Result<Consumption<'a>, EvaluateError> {
        let slots = &self.consumption_slots;
        let consumer = run.consumer(slots.consumer, "/consumer_id")?;
        run.consumer(slots.service, "/service_id")?;
        run.assignments.key = Some(consumer);
        let caller_key = crate::engine::Value::String(consumer);
        run.slots()
            .set(&self.layout, Root::Subject, &["id"], caller_key);
        let mut violations = BumpVec::new_in(run.arena);
        let reason = run.consumption_access(consumer, &mut violations)?;
        let mut limits = DEFAULT_LIMITS;
        let mut limited = [false; 3];
        for program in &self.consumption {
            if run.decides(program.version)? {
                run.name_variant(program.version)?;
                run.consume(program, (&mut limits, &mut limited), &mut violations)?;
            }
        }
        let reason = reason
            .or_else(|| violations.first().map(|first| first.message))
            .unwrap_or("");
        let Reports {
            errors,
            considered,
            variants,
        } = run.take_reports();
        Ok(Consumption {
            allowed: violations.is_empty(),
            reason,
            violations: violations.into_bump_slice(),
            limits,
            errors,
            considered,
            variants,
        })
    }
}

impl<'a> Run<'a> {
    fn consumer(&self, slot: Slot, pointer: &str) -> Result<&'a str, EvaluateError> {
        match self.slots().get(slot) {
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(invalid(pointer, "must be a string")),
            None => Err(invalid(pointer, "is required")),
        }
    }

    /// Asks the ACCESS_CONTROL policies; a denial is a violation and a reason.
    fn consumption_access(
        &mut self,
        consumer: &'a str,
        violations: &mut Violations<'a>,
    ) -> Result<Option<&'a str>, EvaluateError> {
        let slots = &self.program.consumption_slots;
        let mut roles = BumpVec::new_in(self.arena);
        if self.context.claims.is_some() {
            self.claimed_roles(&mut roles);
        } else {
            for slot in slots.roles {
                self.roles_at(slot, &mut roles);
            }
        }
        let caller = Caller {
            id: consumer,
            roles: &roles,
            address: self.slots().get(slots.address),
        };
        let Some(denial) = self.access_control(&caller)?.denied else {
            return Ok(None);
        };
        let policy = self.version(denial.program.version);
        let reason = match denial.reason {
            AccessReason::Requirement { text, .. } => text,
            _ => written(
                self.arena,
                format_args!("consumer {consumer} is blocked by policy {}", policy.name),
            ),
        };
        let (field, actual) = match denial.field {
            Blame::Subject => ("consumer_id", Some(consumer)),
            Blame::Address => (
                "context.ip_address",
                caller.address.map(|value| self.text(&value)),
            ),
        };
        let finding = Finding {
            field,
            message: reason,
            remediation: "",
            actual,
            expected: None,
        };
        violations.push(violation(policy, denial.program.severity, finding));
        Ok(Some(reason))
    }

    fn consume(
        &mut self,
        program: &'a ConsumptionProgram,
        (limits, limited): (&mut ConsumptionLimits, &mut [bool; 3]),
        violations: &mut Violations<'a>,
    ) -> Result<(), EvaluateError> {
        let slots = &self.program.consumption_slots;
        let policy = self.version(program.version);
        let mut refuse = |field, message, actual, expected| {
            let finding = Finding {
                field,
                message,
                remediation: "",
                actual,
                expected,
            };
            violations.push(violation(policy, program.severity, finding));
        };
        match &program.check {
            Check::Limits {
                tokens,
                minute,
                day,
            } => {
                let [some_tokens, some_minute, some_day] = limited;
                lower(&mut limits.max_tokens, *tokens, some_tokens);
                lower(&mut limits.max_requests_per_minute, *minute, some_minute);
                lower(&mut limits.max_requests_per_day, *day, some_day);
            }
            Check::Content {
                deny,
                max_bytes,
                max_bytes_text,
            } => {
                let payload = match self.slots().get(slots.payload) {
                    None | Some(Value::Null) => "",
                    Some(value) => self.text(&value),
                };
                // A pattern looks at every byte.
                self.spend(payload.len() / 64)?;
                let field = "request_payload";
                if deny.as_ref().is_some_and(|deny| deny.is_match(payload)) {
                    refuse(field, "the payload holds denied content", None, None);
                }
                if max_bytes.is_some_and(|max| payload.len() > max) {
                    let length = payload.len();
                    let actual = written(self.arena, format_args!("{length} bytes"));
                    refuse(
                        field,
                        "the payload is too large",
                        Some(actual),
                        Some(max_bytes_text),
                    );
                }
            }
            Check::Classification { max, expected } => {
                let found = slots
                    .classification
                    .iter()
                    .find_map(|slot| self.slots().get(*slot));
                let Some(value) = found.filter(|value| !matches!(value, Value::Null)) else {
                    return Ok(());
                };
                let text = self.text(&value);
                // An unknown classification is as confidential as can be.
                if rank(text).is_none_or(|rank| rank > *max) {
                    let message = "the data's classification is too high";
                    refuse(
                        "context.classification",
                        message,
                        Some(text),
                        Some(expected),
                    );
                }
            }
        }
        Ok(())
    }
}

/// The first limit that a policy sets replaces the default, the smaller of later ones wins.
fn lower(current: &mut i64, limit: Option<i64>, set: &mut bool) {
    if let Some(limit) = limit {
        *current = if *set { (*current).min(limit) } else { limit };
        *set = true;
    }
}
