//! Who asks: the caller's bearer token and the tenant it names, checked by the same rules on every door.
//!
//! A token that is present and invalid is an error, never anonymous. Doors differ only in how they say so:
//! [`CallerError::code`] is 401, 403, 400 or 503 over HTTP and its like over gRPC.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::api::ErrorCode;
use crate::identity::{Claims, IdentityError, LocalVerifier, Verifier};
use crate::model::{TenantId, Timestamp};

/// The header that names a tenant.
pub const TENANT: &str = "x-tenant-id";

/// What a caller brings along. On ext_authz: what the checked request brought along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    pub authorization: Option<&'a [u8]>,
    /// Of `x-tenant-id`.
    pub tenant: Option<&'a [u8]>,
}

/// Why a caller is turned away. The words may be told to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallerError {
    #[error("the header `{0}` is there twice")]
    Twice(&'static str),
    #[error("`authorization` holds no bearer token")]
    NoBearer,
    #[error(transparent)]
    Token(#[from] IdentityError),
    #[error("this sidecar serves another tenant")]
    OtherTenant,
    #[error("the token is of another tenant than this sidecar's")]
    TokenOfOtherTenant,
}

impl CallerError {
    /// The code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Twice(_) => ErrorCode::InvalidRequest,
            // Nothing is wrong with the token that could be told yet.
            Self::Token(IdentityError::NoKeysYet { .. }) => ErrorCode::NotReady,
            Self::NoBearer | Self::Token(_) => ErrorCode::Unauthenticated,
            Self::OtherTenant | Self::TokenOfOtherTenant => ErrorCode::PermissionDenied,
        }
    }
}

impl<'a> Credentials<'a> {
    /// The credentials among these headers (of an HTTP request, or a gRPC call's metadata).
    ///
    /// # Errors
    ///
    /// [`CallerError::Twice`].
    pub fn read(headers: &'a HeaderMap) -> Result<Self, CallerError> {
        let once = |name: &'static str| {
            let mut values = headers.get_all(name).iter();
            let first = values.next();
            match values.next() {
                Some(_) => Err(CallerError::Twice(name)),
                None => Ok(first.map(http::HeaderValue::as_bytes)),
            }
        };
        Ok(Self {
            authorization: once(AUTHORIZATION.as_str())?,
            tenant: once(TENANT)?,
        })
    }
}

/// Identifies callers. Shared by all threads; see [`Callers::local`] for serving threads.
#[derive(Debug)]
pub struct Callers {
    tenant: TenantId,
    /// None where no issuer is configured: then nobody is identified and nobody refused for a token.
    verifier: Option<Verifier>,
}

impl Callers {
    /// Callers of the sidecar of this tenant.
    #[must_use]
    pub const fn new(tenant: TenantId, verifier: Option<Verifier>) -> Self {
        Self { tenant, verifier }
    }

    /// One that belongs to a thread, with a table of known tokens of its own.
    #[must_use]
    pub fn local(self: &Arc<Self>) -> LocalCallers {
        LocalCallers {
            tokens: self
                .verifier
                .as_ref()
                .map(|verifier| RefCell::new(verifier.local())),
            shared: Arc::clone(self),
        }
    }

    /// The verified claims of the caller's token; None where it has none, or none is looked at here. Where its key is
    /// not known, waits for newer keys of its issuer.
    ///
    /// # Errors
    ///
    /// [`CallerError`].
    pub async fn identify(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, CallerError> {
        self.check_tenant(credentials.tenant)?;
        let (Some(verifier), Some(authorization)) = (&self.verifier, credentials.authorization)
        else {
            return Ok(None);
        };
        let token = std::str::from_utf8(bearer(authorization)?);
        let token = token.map_err(|_| IdentityError::Malformed("it is no text"))?;
        let claims = match verifier.verify(token, now) {
            Err(error) if verifier.refreshed(&error).await => verifier.verify(token, now),
            result => result,
        };
        self.check_claims(claims?)
    }

    /// A tenant that is named must be the one served here.
    ///
    /// # Errors
    ///
    /// [`CallerError::OtherTenant`].
    pub fn check_tenant(&self, named: Option<&[u8]>) -> Result<(), CallerError> {
        match named {
            Some(named) if named != self.tenant.as_str().as_bytes() => {
                Err(CallerError::OtherTenant)
            }
            _ => Ok(()),
        }
    }

    fn check_claims(&self, claims: Arc<Claims>) -> Result<Option<Arc<Claims>>, CallerError> {
        match &claims.tenant {
            Some(tenant) if *tenant != self.tenant => Err(CallerError::TokenOfOtherTenant),
            _ => Ok(Some(claims)),
        }
    }
}

/// [`Callers`] of one thread: a token that it has seen costs a hash and a look-up.
#[derive(Debug)]
pub struct LocalCallers {
    shared: Arc<Callers>,
    tokens: Option<RefCell<LocalVerifier>>,
}

impl LocalCallers {
    /// As [`Callers::identify`].
    ///
    /// # Errors
    ///
    /// [`CallerError`].
    pub async fn identify(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, CallerError> {
        match self.known(credentials, now) {
            Err(error) => self.once_refreshed(error, credentials, now).await,
            known => known,
        }
    }

    /// As [`Self::identify`], without waiting for newer keys: [`Self::again`] does where the error says so.
    ///
    /// # Errors
    ///
    /// [`CallerError`].
    pub fn known(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, CallerError> {
        self.shared.check_tenant(credentials.tenant)?;
        let (Some(tokens), Some(authorization)) = (&self.tokens, credentials.authorization) else {
            return Ok(None);
        };
        let claims = tokens.borrow_mut().verify(bearer(authorization)?, now)?;
        self.shared.check_claims(claims)
    }

    /// Identifies again whom [`Self::known`] turned away with `error`, once there are newer keys; where there are none,
    /// or keys are not what is wrong, that error.
    ///
    /// # Errors
    ///
    /// [`CallerError`].
    pub async fn again(
        &self,
        error: CallerError,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, CallerError> {
        let credentials = Credentials::read(headers)?;
        self.once_refreshed(error, credentials, now).await
    }

    async fn once_refreshed(
        &self,
        error: CallerError,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Option<Arc<Claims>>, CallerError> {
        match (&error, &self.shared.verifier) {
            (CallerError::Token(token), Some(verifier))
                if Box::pin(verifier.refreshed(token)).await =>
            {
                self.known(credentials, now)
            }
            _ => Err(error),
        }
    }

    /// As [`Callers::check_tenant`].
    ///
    /// # Errors
    ///
    /// [`CallerError::OtherTenant`].
    pub fn check_tenant(&self, named: Option<&[u8]>) -> Result<(), CallerError> {
        self.shared.check_tenant(named)
    }
}

fn bearer(authorization: &[u8]) -> Result<&[u8], CallerError> {
    const SCHEME: &[u8] = b"bearer ";
    authorization
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .map(|(_, token)| token.trim_ascii())
        .ok_or(CallerError::NoBearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    fn callers(verifier: Option<Verifier>) -> Callers {
        Callers::new("acme".parse().unwrap(), verifier)
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    #[tokio::test]
    async fn what_is_there_and_wrong_is_never_anonymous() {
        let verifier = Verifier::new(
            &crate::identity::Settings::default(),
            &tokio::runtime::Handle::current(),
        )
        .unwrap();
        let callers = Arc::new(callers(Some(verifier)));
        let local = callers.local();
        for (pairs, code) in [
            (&[("authorization", "Basic abc")][..], "unauthenticated"),
            (&[("authorization", "Bearer")], "unauthenticated"),
            (&[("authorization", "Bearer a.b.c")], "unauthenticated"),
            (&[("authorization", "")], "unauthenticated"),
            (&[("x-tenant-id", "other")], "permission_denied"),
            (&[("x-tenant-id", "")], "permission_denied"),
        ] {
            let headers = headers(pairs);
            let credentials = Credentials::read(&headers).unwrap();
            let shared = callers.identify(credentials, now()).await.unwrap_err();
            assert_eq!(shared.code().as_str(), code, "{pairs:?}");
            assert_eq!(local.identify(credentials, now()).await, Err(shared));
        }
        let no_text = Credentials {
            authorization: Some(b"Bearer \xff"),
            tenant: None,
        };
        let shared = callers.identify(no_text, now()).await.unwrap_err();
        assert_eq!(shared.code(), ErrorCode::Unauthenticated);
        assert_eq!(local.identify(no_text, now()).await, Err(shared));
        for name in ["authorization", "x-tenant-id"] {
            let headers = headers(&[(name, "a"), (name, "a")]);
            let error = Credentials::read(&headers).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidRequest);
        }
    }

    #[tokio::test]
    async fn without_an_issuer_nobody_is_identified() {
        let headers = headers(&[("authorization", "Bearer x"), ("x-tenant-id", "acme")]);
        let credentials = Credentials::read(&headers).unwrap();
        assert_eq!(callers(None).identify(credentials, now()).await, Ok(None));
    }
}
