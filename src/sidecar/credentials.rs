//! How a request to a service shows who we are. Files are read for every request: they may change at any time.

mod oauth2;
mod registry;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;

use crate::server::secret;

pub use oauth2::{Assertion, OAuth2, OAuth2Error, Proof, State, assertion_type};
pub use registry::{RegistryCredentials, Scheme, Secret};

/// What goes into `authorization`.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nothing, or what the configured headers have.
    #[default]
    None,
    /// `<scheme> <the token that the file holds>`.
    TokenFile { path: PathBuf, scheme: String },
    /// A bearer token of a token endpoint.
    OAuth2(Arc<OAuth2>),
}

/// Why a request cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("cannot use the token file `{}`: {detail}", path.display())]
    TokenFile { path: PathBuf, detail: String },
    #[error("the token for the registry is no `username:password`, as scheme Basic needs it")]
    NoPair,
    #[error("no token for the service")]
    OAuth2(#[from] OAuth2Error),
}

impl Credentials {
    /// A file with a bearer token.
    #[must_use]
    pub fn bearer(path: impl Into<PathBuf>) -> Self {
        Self::TokenFile {
            path: path.into(),
            scheme: "Bearer".to_owned(),
        }
    }

    /// The value as of now; None where there is none to send.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`].
    pub async fn header(&self) -> Result<Option<HeaderValue>, CredentialsError> {
        match self {
            Self::None => Ok(None),
            Self::OAuth2(oauth2) => {
                let token = oauth2.token().await?;
                let value = secret_value(&format!("Bearer {token}"));
                value.ok_or(OAuth2Error::NoToken.into()).map(Some)
            }
            Self::TokenFile { path, scheme } => {
                let token = read(path).await?;
                let value = secret_value(&format!("{scheme} {token}"));
                let no_token = || CredentialsError::TokenFile {
                    path: path.clone(),
                    detail: "it holds no token".to_owned(),
                };
                value.ok_or_else(no_token).map(Some)
            }
        }
    }
}

/// A token in a file.
async fn read(path: &Path) -> Result<String, CredentialsError> {
    let failed = |detail: String| CredentialsError::TokenFile {
        path: path.to_owned(),
        detail,
    };
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || secret::read_token(&file)).await;
    read.map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(reason(&error)))
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An error with what is behind it.
fn reason(error: &dyn std::error::Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
