//! DATA_RESIDENCY: where a service keeps its data.

use crate::engine::program::run::written;
use crate::engine::program::validation::Finding;
use crate::policy::DataResidency;

use super::slots::Service;
use super::{FoldedSet, Sink, Stop};

/// A compiled rule.
#[derive(Debug)]
pub(in crate::engine::program) struct ResidencyCheck {
    require_specification: bool,
    minimum: usize,
    minimum_message: String,
    minimum_remediation: String,
    minimum_expected: String,
    blocked: FoldedSet,
    allowed: FoldedSet,
}

impl ResidencyCheck {
    pub fn new(rule: &DataResidency) -> Self {
        let minimum = usize::try_from(rule.minimum_locations).unwrap_or(0);
        let noun = if minimum == 1 {
            "location"
        } else {
            "locations"
        };
        Self {
            require_specification: rule.require_specification,
            minimum,
            minimum_message: format!(
                "Service must specify at least {minimum} data residency {noun}"
            ),
            minimum_remediation: format!("Specify at least {minimum} data residency {noun}"),
            minimum_expected: format!("at least {minimum}"),
            blocked: FoldedSet::new(&rule.blocked_countries),
            allowed: FoldedSet::new(&rule.allowed_countries),
        }
    }

    pub fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let field = service.slots.data_residency.name;
        let locations = service.texts(&service.slots.data_residency)?;
        let count = locations.len();
        if self.require_specification && count == 0 {
            findings.add(|| Finding {
                field,
                message: "Service must specify at least one data residency location",
                remediation: "Add data residency information to the service's compliance section",
                actual: Some("none"),
                expected: Some("at least one location"),
            })?;
            return Ok(());
        }
        if count < self.minimum {
            findings.add(|| Finding {
                field,
                message: &self.minimum_message,
                remediation: &self.minimum_remediation,
                actual: Some(written(service.arena(), format_args!("{count}"))),
                expected: Some(&self.minimum_expected),
            })?;
            return Ok(());
        }
        let arena = service.arena();
        for location in locations.clone().filter(|_| !self.blocked.is_empty()) {
            if self.blocked.contains(location, arena) {
                findings.add(|| Finding {
                    field,
                    message: written(
                        arena,
                        format_args!("Data residency location is a restricted country: {location}"),
                    ),
                    remediation: "Remove the restricted country from the data residency locations",
                    actual: Some(location),
                    expected: Some("not in blocked list"),
                })?;
            }
        }
        for location in locations.filter(|_| !self.allowed.is_empty()) {
            if !self.allowed.contains(location, arena) {
                findings.add(|| Finding {
                    field,
                    message: written(
                        arena,
                        format_args!("Data residency location is not allowed: {location}"),
                    ),
                    remediation: "Use only allowed data residency locations",
                    actual: Some(location),
                    expected: Some("in allowed list"),
                })?;
            }
        }
        Ok(())
    }
}
