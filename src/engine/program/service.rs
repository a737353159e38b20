//! The typed rules of the policy engine API, evaluated over a service as that API sends it.
//!
//! Comparisons of countries, certifications, levels, authentication types and support levels ignore case and surrounding
//! blanks; a violation reports the value as sent. An absent block counts as an empty one, an empty list of a rule as no
//! restriction. A field of the wrong type fails the policy.

mod compliance;
mod pricing;
mod residency;
mod security;
mod slots;

use std::collections::BTreeMap;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use crate::engine::table::TableSet;
use crate::policy::{Rule, ServicePolicy};

use super::EvaluateError;
use super::run::Run;
use super::validation::Finding;

use compliance::ComplianceCheck;
use pricing::PricingCheck;
use residency::ResidencyCheck;
use security::SecurityCheck;
pub(super) use slots::ServiceSlots;

/// What was found by one policy.
pub(super) type Findings<'a> = BumpVec<'a, Finding<'a>>;

/// A service policy's checks.
#[derive(Debug)]
pub(super) enum Service {
    Residency(ResidencyCheck),
    Compliance(ComplianceCheck),
    Security(SecurityCheck),
    Pricing(PricingCheck),
    /// Rate limits, content filters and classifications say nothing about a service; see `consumption`.
    Passive,
}

impl Service {
    /// The checks of a policy; the error says what is wrong with its metadata.
    pub fn new(policy: &ServicePolicy) -> Result<Self, String> {
        Ok(match &policy.rule {
            Some(Rule::DataResidency(rule)) => Self::Residency(ResidencyCheck::new(rule)),
            Some(Rule::Compliance(rule)) => {
                Self::Compliance(ComplianceCheck::new(rule, &policy.metadata)?)
            }
            Some(Rule::Security(rule)) => Self::Security(SecurityCheck::new(rule)),
            Some(Rule::Pricing(rule)) => Self::Pricing(PricingCheck::new(rule)),
            Some(Rule::AccessControl(_) | Rule::RateLimiting(_)) | None => Self::Passive,
        })
    }

    /// Everything wrong with the service in the slots.
    pub fn check<'a>(
        &'a self,
        run: &Run<'a>,
        slots: &'a ServiceSlots,
        findings: &mut Findings<'a>,
    ) -> Result<(), EvaluateError> {
        // One step per rule and per element that is looked at.
        let service = slots.reader(run);
        let elements = run.service_elements.get().unwrap_or_else(|| {
            let elements = service.elements();
            run.service_elements.set(Some(elements));
            elements
        });
        run.spend(1 + elements)?;
        let checked = match self {
            Self::Residency(check) => check.check(&service, findings),
            Self::Compliance(check) => check.check(&service, findings),
            Self::Security(check) => check.check(&service, findings),
            Self::Pricing(check) => check.check(&service, findings),
            Self::Passive => Ok(()),
        };
        if let Err(wrong) = checked {
            findings.push(wrong.finding(run.arena));
        }
        Ok(())
    }
}

/// A value of a policy's metadata.
fn metadata<'m>(metadata: &'m BTreeMap<String, String>, key: &str) -> Option<&'m str> {
    metadata.get(key).map(|value| value.trim())
}

/// Rank of a compliance level; unknown and empty count as public.
fn level_rank(level: &str) -> usize {
    known_level(level).unwrap_or(0)
}

fn known_level(level: &str) -> Option<usize> {
    ["public", "internal", "confidential", "restricted"]
        .iter()
        .position(|known| trimmed(level).eq_ignore_ascii_case(known))
}

/// As [`str::trim`], which looks for the blanks of all scripts: most texts have none at their ends.
fn trimmed(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(0x21..=0x7e), Some(0x21..=0x7e)) => text,
        _ => text.trim(),
    }
}

/// Text as it is compared: without surrounding blanks, in lower case. Borrows where nothing changes.
fn folded<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let text = trimmed(text);
    if !text.is_ascii() {
        let lower = text.chars().flat_map(char::to_lowercase);
        return bumpalo::collections::String::from_iter_in(lower, arena).into_bump_str();
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return text;
    }
    let lower = arena.alloc_str(text);
    lower.make_ascii_lowercase();
    lower
}

/// Whether `text` is `lower` when compared, which is folded already.
fn is_folded(text: &str, lower: &str, arena: &Bump) -> bool {
    let text = trimmed(text);
    if text.is_ascii() {
        text.eq_ignore_ascii_case(lower)
    } else {
        folded(text, arena) == lower
    }
}

/// A rule's list as it is compared with.
#[derive(Debug)]
enum FoldedSet {
    /// Few enough to look at each.
    List(Vec<String>),
    Table(TableSet<String>),
}

/// Above so many texts, hashing one is cheaper than comparing it with each.
const FEW: usize = 8;

impl FoldedSet {
    fn new(list: &[String]) -> Self {
        let arena = Bump::new();
        let texts = list.iter().map(|text| folded(text, &arena).to_owned());
        if list.len() <= FEW {
            Self::List(texts.collect())
        } else {
            Self::Table(texts.collect())
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::List(texts) if texts.is_empty())
    }

    fn contains(&self, text: &str, arena: &Bump) -> bool {
        match self {
            Self::List(texts) => {
                let text = trimmed(text);
                if text.is_ascii() {
                    texts
                        .iter()
                        .any(|lower| lower.len() == text.len() && lower.eq_ignore_ascii_case(text))
                } else {
                    let text = folded(text, arena);
                    texts.iter().any(|lower| lower == text)
                }
            }
            Self::Table(texts) => texts.contains(folded(text, arena)),
        }
    }
}
