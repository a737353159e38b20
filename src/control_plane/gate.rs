//! Who asks, and whether they may: the bearer token, the tenant it names, and the permission. One gate for every door.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::identity::{IdentityError, Verifier};
use crate::model::TenantId;

use super::access::{Access, Permission};
use super::clock;
use super::registry::Caller;

const TENANT: &str = "x-tenant-id";
/// The tenant of callers who prove nothing and name none.
const DEFAULT_TENANT: &str = "default";
/// The role of a token that names none.
const NO_ROLE: &str = "agent";
/// The role of a read without a token.
const ANONYMOUS: &str = "anonymous";

/// How callers prove who they are.
#[derive(Debug)]
pub enum Identity {
    Tokens(Verifier),
    /// Nobody proves anything, everybody may everything.
    InsecureNone,
}

/// Why a caller is turned away. The words may be told to it.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A header that cannot be understood.
    #[error("{0}")]
    Header(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    PermissionDenied(String),
    /// Nothing is wrong with the token that could be told yet.
    #[error("{0}")]
    NotReady(String),
}

/// What a door asks before it does anything.
#[derive(Debug)]
pub struct Gate {
    pub access: Access,
    pub identity: Identity,
    /// The tenant that a read without a token reads.
    pub anonymous_reads: Option<TenantId>,
}

impl Gate {
    /// The caller, if it has the permission.
    ///
    /// # Errors
    ///
    /// [`GateError`].
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        permission: Permission,
    ) -> Result<Caller, GateError> {
        let caller = self.identify(headers).await?;
        let believed = matches!(self.identity, Identity::InsecureNone);
        if believed || self.access.allows(&caller, permission) {
            return Ok(caller);
        }
        if caller.roles == [ANONYMOUS] {
            return Err(unauthenticated("a bearer token is needed here"));
        }
        Err(GateError::PermissionDenied(format!(
            "none of the token's roles may {} a {}",
            permission.action.replace('_', " "),
            permission.resource
        )))
    }

    /// The caller.
    ///
    /// # Errors
    ///
    /// [`GateError`].
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, GateError> {
        let named = named_tenant(headers)?;
        let caller = match &self.identity {
            Identity::InsecureNone => Caller {
                tenant: match named.clone() {
                    Some(tenant) => tenant,
                    None => tenant(DEFAULT_TENANT)?,
                },
                subject: ANONYMOUS.into(),
                roles: Vec::new(),
            },
            Identity::Tokens(verifier) => match bearer(headers)? {
                Some(token) => by_token(verifier, token).await?,
                None => anonymous(self.anonymous_reads.as_ref())?,
            },
        };
        match named {
            Some(named) if named != caller.tenant => Err(GateError::PermissionDenied(format!(
                "`{TENANT}` names another tenant than the token"
            ))),
            _ => Ok(caller),
        }
    }
}

async fn by_token(verifier: &Verifier, token: &str) -> Result<Caller, GateError> {
    let claims = match verifier.verify(token, clock::now()) {
        Err(error) if verifier.refreshed(&error).await => verifier.verify(token, clock::now()),
        result => result,
    };
    let claims = claims.map_err(|error| match error {
        IdentityError::NoKeysYet { .. } => GateError::NotReady(error.to_string()),
        error => unauthenticated(&error.to_string()),
    })?;
    let Some(tenant) = claims.tenant.clone() else {
        let text = "the token names no tenant (`tenant_id`)";
        return Err(GateError::PermissionDenied(text.into()));
    };
    let roles = if claims.roles.is_empty() {
        vec![NO_ROLE.to_owned()]
    } else {
        // What stands for nobody cannot be claimed.
        let claimed = claims.roles.iter().filter(|role| *role != ANONYMOUS);
        claimed.cloned().collect()
    };
    Ok(Caller {
        tenant,
        subject: claims.subject.clone(),
        roles,
    })
}

fn anonymous(tenant: Option<&TenantId>) -> Result<Caller, GateError> {
    match tenant {
        Some(tenant) => Ok(Caller {
            tenant: tenant.clone(),
            subject: ANONYMOUS.into(),
            roles: vec![ANONYMOUS.into()],
        }),
        None => Err(unauthenticated("a bearer token is needed here")),
    }
}

/// The bearer token; an `Authorization` of any other kind is an error, never anonymous.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, GateError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    match (token, values.next()) {
        (Some(token), None) => Ok(Some(token)),
        _ => Err(unauthenticated("`authorization` must be one bearer token")),
    }
}

fn named_tenant(headers: &HeaderMap) -> Result<Option<TenantId>, GateError> {
    let mut values = headers.get_all(TENANT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(TENANT) {
            Err(GateError::Header(format!("`{TENANT}` stands there twice")))
        } else {
            Ok(None)
        };
    };
    tenant(value.to_str().unwrap_or_default()).map(Some)
}

fn tenant(text: &str) -> Result<TenantId, GateError> {
    text.parse()
        .map_err(|_| GateError::Header(format!("`{TENANT}` is no tenant")))
}

fn unauthenticated(detail: &str) -> GateError {
    GateError::Unauthenticated(detail.into())
}
