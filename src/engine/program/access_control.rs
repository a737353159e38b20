//! ACCESS_CONTROL service policies: blocked users, roles, addresses, approval. They only ever deny.

use std::net::IpAddr;

use bumpalo::collections::Vec as BumpVec;

use crate::engine::Value;
use crate::engine::table::TableSet;
use crate::model::{AccessReason, Severity};
use crate::policy::AccessControl;

use super::EvaluateError;
use super::run::Run;
use super::version::VersionId;

/// A compiled ACCESS_CONTROL policy.
#[derive(Debug)]
pub(super) struct AccessControlProgram {
    pub version: VersionId,
    pub severity: Severity,
    roles: Vec<String>,
    blocked: TableSet<String>,
    approval: bool,
    ranges: Vec<Range>,
    role_text: String,
}

/// A CIDR range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    network: u128,
    mask: u128,
    v6: bool,
}

/// Who asks, as service policies see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'c, 'a> {
    pub id: &'a str,
    pub roles: &'c [&'a str],
    /// `context.ip_address`.
    pub address: Option<Value<'a>>,
}

/// What the service policies say.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    /// Whether any policy was asked.
    pub asked: bool,
    pub denied: Option<Denial<'a>>,
    pub required: BumpVec<'a, &'a str>,
    pub missing: BumpVec<'a, &'a str>,
}

/// The first denial.
#[derive(Clone, Debug)]
pub(super) struct Denial<'a> {
    pub program: &'a AccessControlProgram,
    pub reason: AccessReason<'a>,
    /// The field of the request that is to blame.
    pub field: Blame,
}

/// What a denial is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    Subject,
    Address,
}

impl AccessControlProgram {
    /// Compiles a rule; the error names a range that is none.
    pub fn new(
        version: VersionId,
        severity: Severity,
        rule: &AccessControl,
    ) -> Result<Self, String> {
        let range = |text: &String| {
            Range::parse(text).ok_or_else(|| format!("`{text}` is no address and no CIDR range"))
        };
        Ok(Self {
            version,
            severity,
            roles: rule.allowed_user_roles.clone(),
            blocked: rule.blocked_user_ids.iter().cloned().collect(),
            approval: rule.require_approval,
            ranges: rule
                .allowed_ip_ranges
                .iter()
                .map(range)
                .collect::<Result<_, _>>()?,
            role_text: format!(
                "one of these roles is required: {}",
                rule.allowed_user_roles.join(", ")
            ),
        })
    }

    fn missing_role(&self, caller: &Caller<'_, '_>) -> bool {
        !self.roles.is_empty()
            && !self
                .roles
                .iter()
                .any(|role| caller.roles.contains(&role.as_str()))
    }

    /// Why an address does not do; None where it does.
    fn refused_address(&self, caller: &Caller<'_, '_>) -> Option<&'static str> {
        if self.ranges.is_empty() {
            return None;
        }
        let Some(Value::String(text)) = caller.address else {
            return Some("context.ip_address is required");
        };
        let Ok(address) = text.trim().parse() else {
            return Some("context.ip_address is no address");
        };
        let allowed = self.ranges.iter().any(|range| range.contains(address));
        (!allowed).then_some("context.ip_address is outside the allowed ranges")
    }
}

impl<'a> Run<'a> {
    /// Asks every ACCESS_CONTROL policy. A blocked caller ends it; otherwise all required permissions are listed.
    pub fn access_control(
        &mut self,
        caller: &Caller<'_, 'a>,
    ) -> Result<Verdict<'a>, EvaluateError> {
        let mut verdict = Verdict {
            asked: false,
            denied: None,
            required: BumpVec::new_in(self.arena),
            missing: BumpVec::new_in(self.arena),
        };
        let program = self.program;
        for policy in &program.access_controls {
            self.spend(1)?;
            if !self.decides(policy.version)? {
                continue;
            }
            self.name_variant(policy.version)?;
            verdict.asked = true;
            let version = self.version(policy.version);
            let name = &*version.name;
            let mut deny = |field: Blame, reason: AccessReason<'a>| {
                verdict.denied.get_or_insert(Denial {
                    program: policy,
                    reason,
                    field,
                });
            };
            if policy.blocked.contains(caller.id) {
                deny(Blame::Subject, AccessReason::Blocked { policy: name });
                self.consider_text(version, "spec.rule", true, ("blocked_user_ids", caller.id));
                break;
            }
            let mut require = |field: Blame, text: &'a str| {
                deny(field, AccessReason::Requirement { policy: name, text });
            };
            let missing = policy.missing_role(caller);
            if missing {
                require(Blame::Subject, &policy.role_text);
            }
            if let Some(text) = policy.refused_address(caller) {
                require(Blame::Address, text);
            }
            if policy.approval {
                require(
                    Blame::Subject,
                    "an approval is required, and none is on record",
                );
            }
            add(&mut verdict.required, &policy.roles);
            if missing {
                add(&mut verdict.missing, &policy.roles);
            }
            self.consider_text(version, "spec.rule", missing, ("", ""));
        }
        Ok(verdict)
    }
}

fn add<'a>(list: &mut BumpVec<'a, &'a str>, roles: &'a [String]) {
    for role in roles {
        if !list.contains(&role.as_str()) {
            list.push(role);
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text.trim(), None),
        };
        let (value, v6) = number(address.parse().ok()?);
        let width = if v6 { 128 } else { 32 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return None;
        }
        let all = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let mask = all & all.checked_shl(width - bits).unwrap_or(0);
        Some(Self {
            network: value & mask,
            mask,
            v6,
        })
    }

    fn contains(self, address: IpAddr) -> bool {
        let (value, v6) = number(address);
        v6 == self.v6 && value & self.mask == self.network
    }
}

/// An address as a number; an IPv4 address in IPv6 form counts as IPv4.
fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    fn contains(range: &str, address: &str) -> bool {
        Range::parse(range)
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn ranges() {
        assert!(contains("10.0.0.0/8", "10.255.1.2"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.9"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(contains("::/0", "2001:db8::1"));
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
        ] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }
}
