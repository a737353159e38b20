//! COMPLIANCE: certifications, level, and the flags for GDPR, HIPAA and SOC2.

use std::collections::BTreeMap;

use bumpalo::collections::String as BumpString;

use crate::engine::program::validation::Finding;
use crate::policy::Compliance;

use super::slots::{Field, Service, WrongType};
use super::{Sink, Stop, folded, is_folded, known_level, level_rank, metadata};

/// A compiled rule.
#[derive(Debug)]
pub(in crate::engine::program) struct ComplianceCheck {
    /// Services below this level are not looked at.
    applies_from: usize,
    certifications: Vec<Certification>,
    /// One of them is enough; then what to say.
    any: Option<Alternatives>,
    minimum: usize,
    minimum_expected: String,
    minimum_remediation: String,
    gdpr: bool,
    hipaa: bool,
    soc2: bool,
}

#[derive(Debug)]
struct Certification {
    name: String,
    folded: String,
    message: String,
    remediation: String,
}

#[derive(Debug)]
struct Alternatives {
    names: String,
    message: String,
    remediation: String,
}

impl ComplianceCheck {
    pub fn new(rule: &Compliance, settings: &BTreeMap<String, String>) -> Result<Self, String> {
        let applies_from = match metadata(settings, "applies_from_level") {
            None => 0,
            Some(level) => known_level(level).ok_or_else(|| {
                format!("`applies_from_level` is `{level}`, expected public, internal, confidential or restricted")
            })?,
        };
        let any = match metadata(settings, "certification_match") {
            None | Some("all") => None,
            Some("any") if rule.required_certifications.is_empty() => None,
            Some("any") => Some(Alternatives::new(&rule.required_certifications)),
            Some(other) => {
                return Err(format!(
                    "`certification_match` is `{other}`, expected any or all"
                ));
            }
        };
        let level = rule.minimum_compliance_level.trim();
        Ok(Self {
            applies_from,
            certifications: rule
                .required_certifications
                .iter()
                .map(|name| Certification::new(name))
                .collect(),
            any,
            minimum: level_rank(level),
            minimum_expected: format!("at least {level}"),
            minimum_remediation: format!("Raise the compliance level to {level} or above"),
            gdpr: rule.require_gdpr_compliance,
            hipaa: rule.require_hipaa_compliance,
            soc2: rule.require_soc2_compliance,
        })
    }

    pub fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let level = service.text(&service.slots.level)?;
        let rank = level_rank(level);
        if rank < self.applies_from {
            return Ok(());
        }
        self.certifications(service, findings)?;
        if rank < self.minimum {
            findings.add(|| Finding {
                field: service.slots.level.name,
                message: "Service compliance level is too low",
                remediation: &self.minimum_remediation,
                actual: Some(level),
                expected: Some(&self.minimum_expected),
            })?;
        }
        let gdpr = (
            "Service must be GDPR compliant",
            "Make the service GDPR compliant and declare it",
        );
        let hipaa = (
            "Service must be HIPAA compliant",
            "Make the service HIPAA compliant and declare it",
        );
        flag(self.gdpr, service, &service.slots.gdpr, gdpr, findings)?;
        flag(self.hipaa, service, &service.slots.hipaa, hipaa, findings)?;
        if self.soc2 && !has(service, "soc2")? {
            findings.add(|| Finding {
                field: service.slots.certifications.name,
                message: "Service must be SOC2 compliant",
                remediation: "Obtain and add the SOC2 certification",
                actual: joined(service).ok(),
                expected: Some("SOC2"),
            })?;
        }
        Ok(())
    }

    fn certifications<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let field = service.slots.certifications.name;
        if let Some(any) = &self.any {
            for certification in &self.certifications {
                if has(service, &certification.folded)? {
                    return Ok(());
                }
            }
            findings.add(|| Finding {
                field,
                message: &any.message,
                remediation: &any.remediation,
                actual: joined(service).ok(),
                expected: Some(&any.names),
            })?;
            return Ok(());
        }
        for certification in &self.certifications {
            if !has(service, &certification.folded)? {
                findings.add(|| Finding {
                    field,
                    message: &certification.message,
                    remediation: &certification.remediation,
                    actual: joined(service).ok(),
                    expected: Some(&certification.name),
                })?;
            }
        }
        Ok(())
    }
}

impl Certification {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folded: folded(name, &bumpalo::Bump::new()).to_owned(),
            message: format!("Service is missing the required certification: {name}"),
            remediation: format!("Obtain and add the {name} certification"),
        }
    }
}

impl Alternatives {
    fn new(names: &[String]) -> Self {
        let names = names.join(", ");
        Self {
            message: format!("Service must have at least one of these certifications: {names}"),
            remediation: format!("Obtain and add one of these certifications: {names}"),
            names,
        }
    }
}

fn flag<'a, S: Sink<'a>>(
    required: bool,
    service: &Service<'_, 'a>,
    field: &Field,
    (message, remediation): (&'static str, &'static str),
    findings: &mut S,
) -> Result<(), Stop> {
    if required && !service.flag(field)? {
        findings.add(|| Finding {
            field: field.name,
            message,
            remediation,
            actual: Some("false"),
            expected: Some("true"),
        })?;
    }
    Ok(())
}

/// Whether the service has a certification (given as compared).
fn has(service: &Service<'_, '_>, certification: &str) -> Result<bool, WrongType> {
    Ok(service
        .texts(&service.slots.certifications)?
        .any(|name| is_folded(name, certification, service.arena())))
}

/// The service's certifications as one text.
fn joined<'a>(service: &Service<'_, 'a>) -> Result<&'a str, WrongType> {
    let mut out = BumpString::new_in(service.arena());
    for (index, name) in service.texts(&service.slots.certifications)?.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
    }
    Ok(out.into_bump_str())
}
