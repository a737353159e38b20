//! The typed rules of the policy engine API, evaluated over a service as that API sends it.
//!
//! Comparisons of countries, certifications, levels, authentication types and support levels ignore case and surrounding
//! blanks; a violation reports the value as sent. An absent block counts as an empty one, an empty list of a rule as no
//! restriction. A field of the wrong type fails the policy.

mod compliance;
mod pricing;
mod residency;
mod security;
mod sink;
mod slots;
mod text;

use std::collections::BTreeMap;

use bumpalo::collections::Vec as BumpVec;

use crate::policy::{Rule, ServicePolicy};

use super::EvaluateError;
use super::run::Run;
use super::validation::Finding;

use compliance::ComplianceCheck;
use pricing::PricingCheck;
use residency::ResidencyCheck;
use security::SecurityCheck;
use sink::{Probe, Sink, Stop};
pub(super) use slots::ServiceSlots;
use text::{FoldedSet, folded, is_folded, known_level, level_rank, starts_with_folded, trimmed};

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

    /// Whether nothing is wrong with the service in the slots.
    #[inline]
    pub fn complies<'a>(
        &'a self,
        run: &Run<'a>,
        slots: &'a ServiceSlots,
    ) -> Result<bool, EvaluateError> {
        // One step per rule and per element that is looked at.
        let service = slots.reader(run);
        let elements = run.service_elements.get().unwrap_or_else(|| {
            let elements = service.elements();
            run.service_elements.set(Some(elements));
            elements
        });
        run.spend(1 + elements)?;
        Ok(self.check(&service, &mut Probe).is_ok())
    }

    /// Everything that is wrong with it.
    pub fn findings<'a>(&'a self, run: &Run<'a>, slots: &'a ServiceSlots) -> Findings<'a> {
        let mut findings = BumpVec::new_in(run.arena);
        if let Err(Stop::WrongType(wrong)) = self.check(&slots.reader(run), &mut findings) {
            findings.push(wrong.finding(run.arena));
        }
        findings
    }

    #[inline]
    fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &slots::Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        match self {
            Self::Residency(check) => check.check(service, findings),
            Self::Compliance(check) => check.check(service, findings),
            Self::Security(check) => check.check(service, findings),
            Self::Pricing(check) => check.check(service, findings),
            Self::Passive => Ok(()),
        }
    }
}

/// A value of a policy's metadata.
fn metadata<'m>(metadata: &'m BTreeMap<String, String>, key: &str) -> Option<&'m str> {
    metadata.get(key).map(|value| value.trim())
}
