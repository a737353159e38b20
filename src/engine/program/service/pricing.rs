//! PRICING: the SLA an enterprise price must come with, a free tier, and the highest rates.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use crate::engine::Value;
use crate::engine::program::run::written;
use crate::engine::program::validation::Finding;
use crate::policy::Pricing;

use super::slots::Service;
use super::{Sink, Stop, folded, trimmed};

/// A compiled rule.
#[derive(Debug)]
pub(in crate::engine::program) struct PricingCheck {
    minimum_sla: f64,
    sla_message: String,
    sla_remediation: String,
    sla_expected: String,
    free_tier: bool,
    per_token: Maximum,
    per_request: Maximum,
}

/// The highest rate per unit; 0 = none.
#[derive(Debug)]
struct Maximum {
    unit: &'static str,
    rate: f64,
    message: String,
    expected: String,
}

impl Maximum {
    fn new(unit: &'static str, rate: f64) -> Self {
        Self {
            unit,
            rate,
            message: format!("Price per {unit} is too high"),
            expected: format!("at most {rate} per {unit}"),
        }
    }
}

impl PricingCheck {
    pub fn new(rule: &Pricing) -> Self {
        let minimum = rule.minimum_sla_for_enterprise;
        Self {
            minimum_sla: minimum,
            sla_message: format!(
                "Enterprise services must have at least {minimum:.1}% availability SLA"
            ),
            sla_remediation: format!("Increase availability SLA to at least {minimum:.1}%"),
            sla_expected: format!("at least {minimum:.1}%"),
            free_tier: rule.require_free_tier,
            per_token: Maximum::new("token", rule.max_rate_per_token),
            per_request: Maximum::new("request", rule.max_rate_per_request),
        }
    }

    pub fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let slots = service.slots;
        let arena = service.arena();
        let support = service.text(&slots.support_level)?;
        if self.minimum_sla > 0.0 && trimmed(support).eq_ignore_ascii_case("enterprise") {
            let availability = service.number(&slots.availability)?;
            if availability.is_nan() || availability < self.minimum_sla {
                findings.add(|| Finding {
                    field: slots.availability.name,
                    message: &self.sla_message,
                    remediation: &self.sla_remediation,
                    actual: Some(written(arena, format_args!("{availability:.1}%"))),
                    expected: Some(&self.sla_expected),
                })?;
            }
        }
        if !self.free_tier && self.per_token.rate <= 0.0 && self.per_request.rate <= 0.0 {
            return Ok(());
        }
        let tiers = service.objects(&slots.rates)?;
        if self.free_tier && !tiers.iter().any(is_free) {
            findings.add(|| Finding {
                field: slots.rates.name,
                message: "Service must offer a free tier",
                remediation: "Add a free tier to the pricing",
                actual: Some("no free tier"),
                expected: Some("at least one free tier"),
            })?;
        }
        for maximum in [&self.per_token, &self.per_request] {
            for tier in tiers.iter().filter(|_| maximum.rate > 0.0) {
                maximum.check(service, tier, findings)?;
            }
        }
        Ok(())
    }
}

impl Maximum {
    fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        tier: &Value<'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let wrong = || {
            service
                .slots
                .rates
                .wrong("a list of tiers with a rate and a unit")
        };
        let Some(Value::String(unit)) = tier.member("unit") else {
            return Ok(());
        };
        let Some(units) = units(unit, self.unit, service.arena()) else {
            return Ok(());
        };
        let rate = match tier.member("rate") {
            None | Some(Value::Null) => 0.0,
            Some(rate) => rate.as_number().ok_or_else(wrong)?,
        };
        // A rounding error of the division is no violation.
        if rate / units > self.rate * (1.0 + 1e-12) || rate.is_nan() {
            findings.add(|| Finding {
                field: service.slots.rates.name,
                message: &self.message,
                remediation: "Lower the rate",
                actual: Some(written(service.arena(), format_args!("{rate} per {unit}"))),
                expected: Some(&self.expected),
            })?;
        }
        Ok(())
    }
}

/// A rate of 0, or a tier called free.
fn is_free(tier: &Value<'_>) -> bool {
    let named = tier
        .member("tier")
        .and_then(|name| name.as_str())
        .is_some_and(|name| name.trim().eq_ignore_ascii_case("free"));
    let rate = match tier.member("rate") {
        // Protobuf's JSON leaves zeros out.
        None => Some(0.0),
        Some(rate) => rate.as_number(),
    };
    named || rate == Some(0.0)
}

/// How many tokens or requests a price is for: `1k tokens` 1000, `request` 1; None for any other unit.
fn units(unit: &str, noun: &str, arena: &Bump) -> Option<f64> {
    let unit = folded(unit, arena);
    if !unit.contains(noun) {
        return None;
    }
    let digits = unit
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '_'))
        .filter(|c| !matches!(c, ',' | '_'));
    let digits = BumpString::from_iter_in(digits, arena);
    // A price for nothing is taken as a price for one.
    let count = digits
        .parse()
        .ok()
        .filter(|count| *count > 0.0)
        .unwrap_or(1.0);
    let after = unit
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '_'))
        .trim_start();
    let scaled = |letter: char, word: &str| {
        unit.contains(word)
            || (!digits.is_empty()
                && after.strip_prefix(letter).is_some_and(|rest| {
                    rest.chars()
                        .next()
                        .is_none_or(|next| !next.is_alphanumeric())
                }))
    };
    let scale = if scaled('m', "million") {
        1e6
    } else if scaled('k', "thousand") {
        1e3
    } else {
        1.0
    };
    Some(count * scale)
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    fn units(unit: &str, noun: &str) -> Option<f64> {
        super::units(unit, noun, &Bump::new())
    }

    #[test]
    fn units_are_normalised() {
        for (unit, expected) in [
            ("token", 1.0),
            ("tokens", 1.0),
            ("per token", 1.0),
            ("1k tokens", 1e3),
            ("1K Tokens", 1e3),
            ("1M tokens", 1e6),
            ("1,000 tokens", 1e3),
            ("1000-tokens", 1e3),
            ("per 2.5k tokens", 2500.0),
            ("million tokens", 1e6),
            ("thousand tokens", 1e3),
        ] {
            assert_eq!(units(unit, "token"), Some(expected), "{unit}");
        }
        assert_eq!(units("month", "token"), None);
        assert_eq!(units("requests", "token"), None);
        assert_eq!(units("100 requests", "request"), Some(100.0));
        assert_eq!(units("0 tokens", "token"), Some(1.0));
    }
}
