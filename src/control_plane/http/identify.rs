//! Who asks: the bearer token, the tenant it names, and whether the route may be used.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::api::ErrorCode;
use crate::control_plane::access::Permission;
use crate::control_plane::clock;
use crate::control_plane::registry::Caller;
use crate::identity::{IdentityError, Verifier};
use crate::model::TenantId;

use super::App;
use super::refusal::Refusal;

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

/// Lets a request through to its route if the caller may use it.
pub async fn permit(
    State((app, permission)): State<(App, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    match check(&app, permission, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.at(request.uri()).into_response(),
    }
}

async fn check(app: &App, permission: Permission, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let caller = identify(app, headers).await?;
    if matches!(app.identity, Identity::InsecureNone) || app.access.allows(&caller, permission) {
        return Ok(caller);
    }
    if caller.roles == [ANONYMOUS] {
        return Err(unauthenticated("a bearer token is needed here"));
    }
    Err(Refusal::new(
        ErrorCode::PermissionDenied,
        format!(
            "none of the token's roles may {} a {}",
            permission.action.replace('_', " "),
            permission.resource
        ),
    ))
}

/// The caller of a request.
pub async fn identify(app: &App, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let named = named_tenant(headers)?;
    let caller = match &app.identity {
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
            None => anonymous(app)?,
        },
    };
    match named {
        Some(named) if named != caller.tenant => Err(Refusal::new(
            ErrorCode::PermissionDenied,
            format!("`{TENANT}` names another tenant than the token"),
        )),
        _ => Ok(caller),
    }
}

async fn by_token(verifier: &Verifier, token: &str) -> Result<Caller, Refusal> {
    let claims = match verifier.verify(token, clock::now()) {
        Err(error) if verifier.refreshed(&error).await => verifier.verify(token, clock::now()),
        result => result,
    };
    let claims = claims.map_err(|error| match error {
        // Nothing is wrong with the token that could be told yet.
        IdentityError::NoKeysYet { .. } => Refusal::new(ErrorCode::NotReady, error.to_string()),
        error => unauthenticated(&error.to_string()),
    })?;
    let Some(tenant) = claims.tenant.clone() else {
        return Err(Refusal::new(
            ErrorCode::PermissionDenied,
            "the token names no tenant (`tenant_id`)",
        ));
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

fn anonymous(app: &App) -> Result<Caller, Refusal> {
    match &app.anonymous_reads {
        Some(tenant) => Ok(Caller {
            tenant: tenant.clone(),
            subject: ANONYMOUS.into(),
            roles: vec![ANONYMOUS.into()],
        }),
        None => Err(unauthenticated("a bearer token is needed here")),
    }
}

/// The bearer token; an `Authorization` of any other kind is an error, never anonymous.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
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

fn named_tenant(headers: &HeaderMap) -> Result<Option<TenantId>, Refusal> {
    let mut values = headers.get_all(TENANT).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(TENANT) {
            Err(Refusal::shape("", format!("`{TENANT}` stands there twice")))
        } else {
            Ok(None)
        };
    };
    tenant(value.to_str().unwrap_or_default()).map(Some)
}

fn tenant(text: &str) -> Result<TenantId, Refusal> {
    text.parse()
        .map_err(|_| Refusal::shape("", format!("`{TENANT}` is no tenant")))
}

fn unauthenticated(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthenticated, detail)
}
