//! What a verified token says.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};

use crate::model::{TenantId, Timestamp};

use super::IdentityError;

/// The claims of a token whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub issuer: String,
    pub subject: String,
    /// From `tenant_id`.
    pub tenant: Option<TenantId>,
    /// From `role` or `roles`; `admin` and `registry-admin` read as `system_admin`.
    pub roles: Vec<String>,
    pub expires_at: Timestamp,
    pub not_before: Option<Timestamp>,
    /// Of an agent's token.
    pub agent: Option<Agent>,
    /// All claims as JSON text, for expressions.
    pub json: String,
}

/// Who a token of the agents' identity service is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub id: String,
    pub capabilities: Vec<String>,
}

impl Claims {
    /// Whether the token grants this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the token may be used at `now`, give or take `skew` seconds.
    pub(super) fn check_time(&self, now: Timestamp, skew: i64) -> Result<(), IdentityError> {
        if self.expires_at.plus_seconds(skew) <= now {
            return Err(IdentityError::Expired);
        }
        if self
            .not_before
            .is_some_and(|start| start > now.plus_seconds(skew))
        {
            return Err(IdentityError::NotYetValid);
        }
        Ok(())
    }
}

/// The claims that mean something here, as they stand in the payload.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    pub(super) iss: String,
    sub: String,
    aud: OneOrMany,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    pub(super) iat: Option<NumericDate>,
    tenant_id: Option<String>,
    role: Option<String>,
    roles: Option<Vec<String>>,
    agent_id: Option<String>,
    capabilities: Option<Vec<String>>,
    pub(super) constitutional_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Seconds since the epoch; a fraction is allowed and cut off (RFC 7519, section 2).
#[derive(Clone, Copy, Debug)]
pub(super) struct NumericDate(pub(super) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        // Ten thousand years either way: anything else is no date, and keeps sums in range.
        if seconds.abs() > 3.2e11 {
            return Err(D::Error::custom("no date"));
        }
        Ok(Self(Timestamp::from_unix_seconds(seconds.floor() as i64)))
    }
}

impl Payload {
    /// Reads the payload; a member that stands there twice is refused, since readers differ on which counts.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, IdentityError> {
        let malformed =
            |_| IdentityError::Malformed("the claims are no JSON object of the expected types");
        let Unique = serde_json::from_slice(payload).map_err(malformed)?;
        serde_json::from_slice(payload).map_err(malformed)
    }

    pub(super) fn names_audience(&self, expected: &[String]) -> bool {
        match &self.aud {
            OneOrMany::One(audience) => expected.contains(audience),
            OneOrMany::Many(audiences) => audiences.iter().any(|one| expected.contains(one)),
        }
    }

    /// Whether this is an agent's token: more is asked of it.
    pub(super) const fn is_agents(&self) -> bool {
        self.agent_id.is_some()
    }

    /// The agent, where the token is one's: what it says twice must agree.
    fn agent(&self) -> Result<Option<Agent>, IdentityError> {
        let malformed = |what| Err(IdentityError::Malformed(what));
        let Some(id) = &self.agent_id else {
            return Ok(None);
        };
        let Some(tenant) = &self.tenant_id else {
            return malformed("an agent's token names no tenant (`tenant_id`)");
        };
        if ![id, tenant].into_iter().all(|name| is_agent_name(name)) {
            return malformed("`agent_id` or `tenant_id` is no name of an agent or its tenant");
        }
        let capabilities = self.capabilities.clone().unwrap_or_default();
        let well_formed = |capability: &String| {
            !capability.is_empty()
                && capability
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
        };
        if !(1..=50).contains(&capabilities.len()) || !capabilities.iter().all(well_formed) {
            return malformed("`capabilities` is no list of 1 to 50 capabilities");
        }
        let path = self
            .sub
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.split_once('/'))
            .filter(|(domain, _)| !domain.is_empty())
            .map(|(_, path)| path);
        if path != Some(&format!("tenant/{tenant}/agent/{id}")) {
            return malformed("`sub` is not the SPIFFE id of the token's tenant and agent");
        }
        Ok(Some(Agent {
            id: id.clone(),
            capabilities,
        }))
    }

    /// The claims; to be called when the signature holds.
    pub(super) fn into_claims(self, json: Vec<u8>) -> Result<Claims, IdentityError> {
        let agent = self.agent()?;
        let tenant = self
            .tenant_id
            .map(|tenant| tenant.parse::<TenantId>())
            .transpose()
            .map_err(|_| IdentityError::Malformed("`tenant_id` is no tenant"))?;
        let roles = self
            .role
            .into_iter()
            .chain(self.roles.unwrap_or_default())
            .map(|role| match role.as_str() {
                "admin" | "registry-admin" => "system_admin".to_owned(),
                _ => role,
            })
            .collect();
        Ok(Claims {
            issuer: self.iss,
            subject: self.sub,
            tenant,
            roles,
            expires_at: self.exp.0,
            not_before: self.nbf.map(|date| date.0),
            agent,
            json: String::from_utf8(json)
                .map_err(|_| IdentityError::Malformed("the claims are no UTF-8"))?,
        })
    }
}

fn is_agent_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// An object without a member twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Unique;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut seen = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    map.next_value::<IgnoredAny>()?;
                    if !seen.insert(name) {
                        return Err(A::Error::custom("a member stands there twice"));
                    }
                }
                Ok(Unique)
            }
        }
        deserializer.deserialize_map(Members)
    }
}
