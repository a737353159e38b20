//! SECURITY: HTTPS, authentication, and encryption where the request carries facts about it.

use crate::engine::Value;
use crate::engine::program::run::written;
use crate::engine::program::validation::Finding;
use crate::policy::Security;

use super::slots::{Field, Service};
use super::{FoldedSet, Sink, Stop, starts_with_folded, trimmed};

/// A compiled rule.
#[derive(Debug)]
pub(in crate::engine::program) struct SecurityCheck {
    https: bool,
    authentication: bool,
    allowed: FoldedSet,
    at_rest: bool,
    in_transit: bool,
    /// 12 = TLS 1.2; 0 = any.
    tls: i32,
    tls_expected: String,
    tls_remediation: String,
}

impl SecurityCheck {
    pub fn new(rule: &Security) -> Self {
        let tls = rule.minimum_tls_version;
        let named = format!("TLS {}.{}", tls / 10, tls % 10);
        Self {
            https: rule.require_https,
            authentication: rule.require_authentication,
            allowed: FoldedSet::new(&rule.allowed_authentication_types),
            at_rest: rule.require_encryption_at_rest,
            in_transit: rule.require_encryption_in_transit,
            tls,
            tls_expected: format!("at least {named}"),
            tls_remediation: format!("Configure the endpoint for {named} or above"),
        }
    }

    pub fn check<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let slots = service.slots;
        let url = service.text(&slots.url)?;
        if self.https && !starts_with_folded(url, *b"https://") {
            findings.add(|| Finding {
                field: slots.url.name,
                message: "Service endpoint must use HTTPS",
                remediation: "Update endpoint URL to use HTTPS",
                actual: Some(url),
                expected: Some("https://..."),
            })?;
        }
        let authentication = service.text(&slots.authentication)?;
        let given = !trimmed(authentication).is_empty();
        if self.authentication && !given {
            findings.add(|| Finding {
                field: slots.authentication.name,
                message: "Service must specify an authentication type",
                remediation: "Specify an authentication type for the endpoint",
                actual: Some("none"),
                expected: Some("an authentication type (api-key, oauth2, jwt)"),
            })?;
        }
        let arena = service.arena();
        if given && !self.allowed.is_empty() && !self.allowed.contains(authentication, arena) {
            findings.add(|| Finding {
                field: slots.authentication.name,
                message: written(
                    arena,
                    format_args!("Authentication type is not allowed: {authentication}"),
                ),
                remediation: "Use one of the allowed authentication types",
                actual: Some(authentication),
                expected: Some("one of allowed types"),
            })?;
        }
        self.facts(service, findings)
    }

    /// What no service request can show by itself: evaluated only where its `metadata` says something about it.
    fn facts<'a, S: Sink<'a>>(
        &'a self,
        service: &Service<'_, 'a>,
        findings: &mut S,
    ) -> Result<(), Stop> {
        let slots = service.slots;
        let at_rest = ("Service must encrypt data at rest", "Encrypt data at rest");
        let in_transit = (
            "Service must encrypt data in transit",
            "Encrypt data in transit",
        );
        fact(
            self.at_rest,
            service,
            &slots.encryption_at_rest,
            at_rest,
            findings,
        )?;
        fact(
            self.in_transit,
            service,
            &slots.encryption_in_transit,
            in_transit,
            findings,
        )?;
        if self.tls == 0 {
            return Ok(());
        }
        let Some(value) = service.value(&slots.tls_version) else {
            return Ok(());
        };
        let version =
            tls_version(&value).ok_or_else(|| slots.tls_version.wrong("a TLS version"))?;
        if version < self.tls {
            findings.add(|| Finding {
                field: slots.tls_version.name,
                message: "Service endpoint allows a TLS version that is too old",
                remediation: &self.tls_remediation,
                actual: Some(service.rendered(&value)),
                expected: Some(&self.tls_expected),
            })?;
        }
        Ok(())
    }
}

fn fact<'a, S: Sink<'a>>(
    required: bool,
    service: &Service<'_, 'a>,
    field: &Field,
    (message, remediation): (&'static str, &'static str),
    findings: &mut S,
) -> Result<(), Stop> {
    if required && service.optional_flag(field)? == Some(false) {
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

/// `12`, `1.2`, `"1.2"`, `"TLS 1.2"`, `"TLSv1.2"` as 12.
fn tls_version(value: &Value<'_>) -> Option<i32> {
    match value {
        Value::String(text) => {
            let text = text.trim();
            let named = text
                .get(..3)
                .is_some_and(|name| name.eq_ignore_ascii_case("tls"));
            let text = text.get(if named { 3 } else { 0 }..)?.trim_start();
            let text = text.strip_prefix(['v', 'V']).unwrap_or(text).trim_start();
            whole_version(text.parse().ok()?)
        }
        other => whole_version(other.as_number()?),
    }
}

fn whole_version(number: f64) -> Option<i32> {
    let number = if number < 10.0 { number * 10.0 } else { number };
    (10.0..100.0)
        .contains(&number)
        .then(|| number.round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_versions_in_every_spelling() {
        for text in ["1.2", "TLS 1.2", "TLSv1.2", "tls1.2", "12", " TLSv1.2 "] {
            assert_eq!(tls_version(&Value::String(text)), Some(12), "{text}");
        }
        assert_eq!(tls_version(&Value::Double(1.3)), Some(13));
        assert_eq!(tls_version(&Value::Int(13)), Some(13));
        for text in ["", "x", "NaN", "-1", "1e9", "tls"] {
            assert_eq!(tls_version(&Value::String(text)), None, "{text}");
        }
    }
}
